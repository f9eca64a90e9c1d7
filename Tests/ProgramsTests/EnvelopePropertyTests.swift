// SPDX-License-Identifier: Apache-2.0

import Foundation
import Notifications
import Subprocess
import Testing

/// Random payloads that Python generates return to Python unchanged, through our JSON and both envelopes.
@Suite("Envelopes", .timeLimit(.minutes(3)))
struct EnvelopePropertyTests {
    private static let count = 300

    @Test("oslo.messaging reads random payloads unchanged from both envelopes")
    func unchangedPayloads() async throws {
        try await Compatibility.withDirectory { directory in
            let made = try await Compatibility.run("envelopes", ["--count", "\(Self.count)", "make", directory.path])
            try #require(made.status == .exited(0), "\(made.errorText)")
            var files: [String] = []
            for form in ["ascii", "utf8"] {
                let payloads = try self.payloads(directory.appending(path: "payloads-\(form).jsonl"))
                try #require(payloads.count == Self.count)
                for envelope in Envelope.allCases {
                    let file = directory.appending(path: "\(envelope.rawValue)-\(form)")
                    try self.bodies(of: payloads, in: envelope).write(to: file)
                    files.append(file.path)
                }
            }
            let checked = try await Compatibility.run("envelopes", ["--count", "\(Self.count)", "check"] + files)
            #expect(
                checked.status == .exited(0), "\(checked.standardOutput.joined(separator: "\n"))\(checked.errorText)")
        }
    }

    /// Returns the bodies of messages with these payloads, one on each line.
    private func bodies(of payloads: [(seed: Int, payload: JSONObject)], in envelope: Envelope) -> Data {
        var bodies = Data()
        for (seed, payload) in payloads {
            let message = NotificationMessage(
                messageID: MessageID(), publisherID: "conductor.c", eventType: "property.\(seed)", priority: .info,
                payload: payload, timestamp: .now())
            bodies.append(contentsOf: envelope.encode(message))
            bodies.append(UInt8(ascii: "\n"))
        }
        return bodies
    }

    /// Returns the payloads that the script has made, and their seeds.
    private func payloads(_ file: URL) throws -> [(seed: Int, payload: JSONObject)] {
        try Data(contentsOf: file).split(separator: UInt8(ascii: "\n")).map { line in
            let line = try #require(try JSONValue(json: Array(line)).object)
            return (try #require(line["seed"]?.integer), try #require(line["payload"]?.object))
        }
    }
}
