// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import Subprocess
import SystemPackage

/// `openssl s_client`, which can do what the project's own TLS cannot.
enum ForeignPeer {
    /// Returns the options for one of the attackers' certificates.
    static func identity(_ target: Target, _ number: Int) -> [String] {
        let path = "\(target.directory)/guest-\(Target.instance(number))"
        return ["-cert", "\(path).pem", "-key", "\(path).key"]
    }

    /// The wait for an answer ends after this many checks, in intervals in which s_client should have been scheduled.
    private static let (looks, pause) = (400, Duration.milliseconds(5))

    /// Connects, sends words one after the other, and ends. s_client interprets a letter at the beginning of a read as
    /// a command, and ignores the rest of that read, so each word waits until the one before it was answered.
    ///
    /// - Parameter words: the words to send, and the text that s_client then prints, once more for each; nil not to
    ///   wait for it.
    /// - Returns: the output of s_client.
    static func run(
        _ target: Target, _ options: [String], _ words: [(text: String, answer: String?)]
    ) async throws -> String {
        let arguments =
            [
                "s_client", "-connect", "127.0.0.1:\(target.port)", "-bind", "\(Target.address(0)):0", "-CAfile",
                "\(target.directory)/ca.pem",
            ] + options
        let said = NIOLockedValueBox("")
        _ = try await Subprocess.run(
            .name("openssl"), arguments: Arguments(arguments), input: .inputWriter, output: .sequence,
            error: .combinedWithOutput
        ) { execution in
            let output = execution.standardOutput
            let reader = Task {
                for try await line in output.strings() { said.withLockedValue { $0 += line + "\n" } }
            }
            func wait(for text: String, times: Int) async {
                for _ in 0..<Self.looks where said.withLockedValue({ $0.ranges(of: text).count }) < times {
                    try? await Task.sleep(for: Self.pause)
                }
            }
            // Waits for the handshake, or its failure, first.
            await wait(for: "Verify return code", times: 1)
            var answers: [String: Int] = [:]
            for word in words {
                _ = try? await execution.standardInputWriter.write(word.text)
                guard let answer = word.answer else { continue }
                answers[answer, default: 0] += 1
                await wait(for: answer, times: answers[answer, default: 0])
            }
            try? await execution.standardInputWriter.finish()
            _ = await reader.result
        }
        return said.withLockedValue { $0 }
    }
}
