// SPDX-License-Identifier: Apache-2.0

import Foundation
import Notifications
import ProcessTesting
import Testing

/// The scripts of Tests/Compatibility: real Trove and real oslo.messaging.
enum RealTrove {
    /// A notification class of real Trove, and a context that has one.
    struct Case: Sendable, CustomStringConvertible {
        /// `DBaaSUserCreate`.
        let className: String
        /// Trove's name of the operation: `user_create`.
        let eventType: String
        /// `TroveContext.to_dict()`.
        let context: JSONObject
        /// The context that oslo.messaging's notifier publishes.
        let published: JSONObject
        /// The traits that Trove requires at the end.
        let requiredEndTraits: [String]

        /// The context that a conductor publishes if it is not signed: the same without rights.
        var publishedUnsigned: JSONObject {
            var published = self.published
            for (name, value) in [
                ("system_scope", JSONValue.null), ("domain", .null), ("is_admin", false), ("roles", []),
            ] { published[name] = value }
            let words = ["user", "project_id", "domain", "user_domain", "project_domain"].map { name in
                published[name]?.string.flatMap { $0.isEmpty ? nil : $0 } ?? "-"
            }
            published["user_identity"] = .string(words.joined(separator: " "))
            return published
        }

        /// The payload of Trove's call site.
        var payload: JSONObject { self.context["trove_notification"]?.object ?? [:] }
        var description: String { self.className }
    }

    private struct MissingPython: Error, CustomStringConvertible {
        let description =
            "CONDUCTOR_TEST_PYTHON is not set: these tests need a Python with Trove and oslo.messaging, which "
            + "Tests/run installs; or make one as Tests/Compatibility/README.md says and set the variable to it"
    }

    /// Starts a script.
    static func script(_ name: String, _ arguments: [String]) throws -> TestProcess {
        guard let python = ProcessInfo.processInfo.environment["CONDUCTOR_TEST_PYTHON"], !python.isEmpty else {
            throw MissingPython()
        }
        let script = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../Compatibility/\(name).py").standardizedFileURL
        return try TestProcess(python, ["-W", "ignore", script.path] + arguments)
    }

    /// Returns the objects that a script printed, one a line.
    static func objects(in output: String) throws -> [JSONObject] {
        try output.split(separator: "\n").filter { $0.hasPrefix("{") }.map { line in
            try #require(try JSONValue(json: Array(line.utf8)).object)
        }
    }

    /// Returns a context for every notification class of Trove, about the instance of the tests' guest.
    static func cases(secret: String) async throws -> [Case] {
        let script = try Self.script("trove_contexts", ["--secret", secret, "--instance", "inst-1"])
        let output = await script.outputUntilExit()
        let cases = try Self.objects(in: output).map { line in
            Case(
                className: try #require(line["class"]?.string), eventType: try #require(line["event_type"]?.string),
                context: try #require(line["context"]?.object), published: try #require(line["published"]?.object),
                requiredEndTraits: try #require(line["required_end_traits"]?.array).compactMap(\.string))
        }
        try #require(cases.count == 38, "\(output.suffix(2000))")
        return cases
    }
}
