// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Dispatch
import Foundation
import Glibc

/// Attacks until its standard input ends, and then prints its tally. The bench runs it, with the lowest priority.
struct AttackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attack", abstract: "Run an attacker in a process of its own.")

    /// The line that it prints when an attack that ends by itself has ended.
    static let done = "done"

    @OptionGroup var options: TargetOptions

    @Option(help: "The number of connections that the attack many-connections opens.")
    var connections = 10_000

    @Argument(help: "The name of the attack.")
    var name: String

    func run() async throws {
        guard let attack = Attacks.named(self.name) else { throw ValidationError("There is no attack \(self.name).") }
        let target = Target(port: self.options.port, directory: self.options.tls, connections: self.connections)
        // A closed socket must not end the attacker.
        signal(SIGPIPE, SIG_IGN)
        let attacking = Task {
            try await attack.init().run(target)
            Self.say(Self.done)
        }
        await Self.endOfInput()
        attacking.cancel()
        for line in target.tally.lines { Self.say(line) }
        // With all connections open, like a peer that is killed: its kernel closes the connections.
        Glibc.exit(0)
    }

    private static func say(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

    /// Returns when standard input has ended.
    static func endOfInput() async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                _ = FileHandle.standardInput.readDataToEndOfFile()
                continuation.resume()
            }
        }
    }
}
