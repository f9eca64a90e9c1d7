// SPDX-License-Identifier: Apache-2.0

package import Logging
package import Notifications
import Subprocess
import SystemPackage

/// A command that prints the rows, one JSON object a line, and exits with status 0.
///
/// The command runs without a shell, in a session of its own and with an empty standard input. The last 50 lines of its
/// standard error are logged. When the command takes too long, prints too much or its task is cancelled, its whole
/// process group is killed. A descendant that left the group survives, and writes into a closed pipe.
package struct CommandRowSource: RowSource {
    /// The limits of a command.
    package struct Limits: Sendable, Hashable {
        /// The time limit for the command's whole run.
        package var timeout = Duration.seconds(120)
        /// The maximum size of standard output, in bytes.
        package var bytes = 64 << 20
        /// The longest line, in bytes.
        package var lineBytes = 64 << 10
        /// The maximum number of rows.
        package var rows = 100_000
        /// The size of the end of standard error that is kept, in bytes.
        package var errorBytes = 16 << 10

        /// Creates the default limits.
        package init() {}
    }

    private let name: String
    private let command: [String]
    private let environment: [String: String]
    private let limits: Limits
    private let logger: Logger

    /// - Parameters:
    ///   - name: the command's name in errors and in the log: the setting that configures it.
    ///   - command: the program and its arguments; not empty. The program is looked up in `PATH` unless it has a slash.
    ///   - environment: the command's whole environment.
    ///   - limits: the limits of the command.
    ///   - logger: logs the command's standard error.
    package init(
        name: String, command: [String], environment: [String: String], limits: Limits = Limits(), logger: Logger
    ) {
        self.name = name
        self.command = command
        self.environment = environment
        self.limits = limits
        self.logger = logger
    }

    /// Runs the command to its end, and parses its output.
    package func rows() async throws -> [JSONObject] {
        let result = try await self.run()
        try Task.checkCancellation()
        self.log(result.standardError)
        switch (result.verdict, result.status) {
        case (.ended, .exited(0)): break
        case (.ended, .exited(let status)): throw self.error("the command exited with status \(status)")
        case (.ended, .signaled(let signal)): throw self.error("the command was terminated by signal \(signal)")
        case (.tooLong, _): throw self.error("the command printed more than \(self.limits.bytes) bytes and was killed")
        case (.late, _): throw self.error("the command did not end within \(self.limits.timeout) and was killed")
        case (.held, _):
            throw self.error(
                "the command ended, but after \(self.limits.timeout) a process that it started still held its output open"
            )
        case (.cancelled, _): throw CancellationError()
        }
        do {
            return try await RowLineParser(maximumLineBytes: self.limits.lineBytes, maximumRows: self.limits.rows)
                .rows(of: result.standardOutput)
        } catch let error as RowSourceError {
            throw self.error(error.description)
        }
    }

    private func run() async throws -> (
        verdict: CommandOutput.Verdict, status: TerminationStatus, standardOutput: [UInt8], standardError: [UInt8]
    ) {
        let output: CommandOutput
        do {
            output = try CommandOutput(maximumBytes: self.limits.bytes, maximumErrorBytes: self.limits.errorBytes)
        } catch {
            throw self.error("failed to create a pipe for the command: \(error)")
        }
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [.send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .zero)]
        do {
            let timeout = self.limits.timeout
            let ended = try await Subprocess.run(
                self.command[0].contains("/") ? .path(FilePath(self.command[0])) : .name(self.command[0]),
                arguments: Arguments(Array(self.command.dropFirst())),
                environment: .custom(
                    Dictionary(
                        self.environment.map { (Environment.Key(stringLiteral: $0.key), $0.value) },
                        uniquingKeysWith: { first, _ in first })),
                platformOptions: options, input: .none,
                output: .fileDescriptor(output.standardOutput.writeEnd, closeAfterSpawningProcess: true),
                error: .fileDescriptor(output.standardError.writeEnd, closeAfterSpawningProcess: true)
            ) { execution in
                let read = await output.read(
                    until: execution.processIdentifier.processDescriptor, timeout: timeout)
                if read.verdict != .ended { try? execution.send(signal: .kill, toProcessGroup: true) }
                return read
            }
            let read = ended.closureResult
            return (read.verdict, ended.terminationStatus, read.standardOutput, read.standardError)
        } catch {
            try Task.checkCancellation()
            throw self.error("failed to run the command: \(error)")
        }
    }

    private func error(_ problem: String) -> RowSourceError {
        RowSourceError("\(self.name): \(self.command[0]): \(problem)")
    }

    private func log(_ standardError: [UInt8]) {
        for line in standardError.split(separator: UInt8(ascii: "\n")).suffix(50) {
            let text = String(decoding: line, as: UTF8.self).unicodeScalars.map { scalar in
                // A log line must stay one line.
                scalar.properties.generalCategory == .control ? " " : String(scalar)
            }
            self.logger.warning(
                "Report command wrote to standard error",
                metadata: ["setting": "\(self.name)", "text": "\(text.joined())"])
        }
    }
}
