// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Subprocess
import SystemPackage

/// A process that a test has started and communicates with.
struct RunningProgram: Sendable {
    /// The lines of its standard output; none if the test gave it another output.
    let standardOutput = OutputLines()
    /// The lines of its standard error.
    let standardError = OutputLines()
    /// Its process id.
    let identifier: Int32
    private let input: StandardInputWriter
    private let signal: @Sendable (Signal) throws -> Void

    fileprivate init(
        identifier: Int32, input: StandardInputWriter, signal: @escaping @Sendable (Signal) throws -> Void
    ) {
        self.identifier = identifier
        self.input = input
        self.signal = signal
    }

    /// Sends it a signal.
    func send(_ signal: Signal) throws { try self.signal(signal) }

    /// Writes a line to its standard input.
    func write(_ line: String) async throws { _ = try await self.input.write(Array((line + "\n").utf8)) }

    /// Closes its standard input.
    func closeInput() async throws { try await self.input.finish() }
}

/// The status with which a process ended, and its output.
struct ProgramEnd: Sendable {
    let status: TerminationStatus
    let standardOutput: [String]
    let standardError: [String]

    /// The lines of standard error as one text.
    var errorText: String { self.standardError.joined(separator: "\n") }
}

/// A program that tests run.
struct Program: Sendable {
    /// The package's programs, from the directory that the tests themselves were built into.
    static let conductor = Program(built: "conductor")
    static let guestAgent = Program(built: "guest-agent")

    /// Ignores SIGPIPE, so that a write to a program that has ended fails the test and does not end the test process.
    /// Programs do not inherit this.
    private static let ignoresBrokenPipes: Void = { _ = signal(SIGPIPE, SIG_IGN) }()

    /// Its name, or its path.
    let path: String

    /// A program of the system, by name or path.
    init(_ path: String) { self.path = path }

    private init(built name: String) {
        let tests = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        self.init(tests.deletingLastPathComponent().appending(path: name).path)
    }

    /// Runs the program to its end. It is killed if the test fails or runs out of time.
    ///
    /// - Parameters:
    ///   - arguments: its arguments.
    ///   - environment: the variables that are added to the tests' environment, or replace those in it.
    ///   - standardOutput: the destination of its output instead of the test; closed here once the program has it.
    ///   - body: the test's work while the program runs. Then standard input is closed and the end is awaited.
    func run(
        _ arguments: [String], environment: [String: String] = [:], standardOutput: FileDescriptor? = nil,
        during body: (RunningProgram) async throws -> Void = { _ in }
    ) async throws -> ProgramEnd {
        Self.ignoresBrokenPipes
        var variables = Environment.inherit
        for (name, value) in environment {
            variables = variables.updating([Environment.Key(stringLiteral: name): value])
        }
        let executable: Executable = self.path.contains("/") ? .path(FilePath(self.path)) : .name(self.path)
        guard let standardOutput else {
            let result = try await Subprocess.run(
                executable, arguments: Arguments(arguments), environment: variables, input: .inputWriter,
                output: .sequence, error: .sequence
            ) { execution in
                let program = RunningProgram(
                    identifier: execution.processIdentifier.value, input: execution.standardInputWriter
                ) { try execution.send(signal: $0) }
                try await Self.attend(
                    program,
                    [
                        (program.standardOutput, execution.standardOutput),
                        (program.standardError, execution.standardError),
                    ], body)
                return program
            }
            return ProgramEnd(
                status: result.terminationStatus, standardOutput: result.closureResult.standardOutput.all,
                standardError: result.closureResult.standardError.all)
        }
        let result = try await Subprocess.run(
            executable, arguments: Arguments(arguments), environment: variables, input: .inputWriter,
            output: .fileDescriptor(standardOutput, closeAfterSpawningProcess: true), error: .sequence
        ) { execution in
            let program = RunningProgram(
                identifier: execution.processIdentifier.value, input: execution.standardInputWriter
            ) { try execution.send(signal: $0) }
            try await Self.attend(program, [(program.standardError, execution.standardError)], body)
            return program
        }
        return ProgramEnd(
            status: result.terminationStatus, standardOutput: [],
            standardError: result.closureResult.standardError.all)
    }

    // Runs on the caller's actor, like its body.
    private nonisolated(nonsending) static func attend(
        _ program: RunningProgram, _ outputs: [(OutputLines, SubprocessOutputSequence)],
        _ body: (RunningProgram) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (lines, output) in outputs {
                group.addTask { try await lines.read(output) }
            }
            do {
                try await body(program)
                try await program.closeInput()
                try await group.waitForAll()
            } catch {
                try? program.send(.kill)
                throw error
            }
        }
    }
}
