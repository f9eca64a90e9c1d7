// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import Foundation

/// A real consumer: oslo.messaging's notification listener.
enum OsloListener {
    /// Returns the `count` notifications that a real listener receives while the body runs, in any order.
    static func received(
        _ count: Int, from broker: TestBroker, _ names: UniqueTopic, during body: () async throws -> Void
    ) async throws -> (end: ProgramEnd, notifications: [Notification]) {
        let options = [
            "--url", broker.url, "--exchange", names.exchange, "--topic", names.topic, "--count", "\(count)",
            "--timeout", "90",
        ]
        let end = try await Compatibility.run("oslo_listener", options) { listener in
            try await listener.standardOutput.line(containing: "READY")
            try await body()
        }
        return (end, try end.standardOutput.filter { $0 != "READY" }.map { try Notification($0) })
    }
}

extension TestBroker {
    /// The conductor's settings for this broker.
    func messaging(_ names: UniqueTopic) -> String {
        "messaging: {transport_url: \"\(self.url)\", exchange: \(names.exchange), topic: \(names.topic)}"
    }
}
