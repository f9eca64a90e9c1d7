// SPDX-License-Identifier: Apache-2.0

import Notifications
import RelayTesting

@testable import GuestAgent

extension GuestAgent.Configuration {
    /// Returns a configuration with conductors on these ports of 127.0.0.1, and pauses short enough for a test.
    static func test(ports: [Int], certificates: TestCertificates) -> GuestAgent.Configuration {
        var configuration = GuestAgent.Configuration(
            conductors: ports.map { ConductorAddress(host: "127.0.0.1", port: $0) },
            certificateFile: certificates.path("guest.pem"), keyFile: certificates.path("guest.key"),
            caFile: certificates.path("ca.pem"))
        configuration.minimumBackoff = .milliseconds(5)
        configuration.maximumBackoff = .milliseconds(50)
        return configuration
    }
}

extension OperationNotification {
    static var sample: OperationNotification { OperationNotification(context: SampleReport.context()) }
}
