// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import SystemPackage

/// Runs attackers: this very program, in a process of its own, on processors of its own.
struct AttackerProcess {
    let options: TargetOptions
    /// The processors, as `taskset --cpu-list` takes them. Who is measured runs on others.
    let processors: String
    /// How many connections the attack that opens many opens.
    let connections: Int
    /// The file that its errors are appended to.
    let log: String

    /// How long an attack that ends by itself may take.
    private static let patience = Duration.seconds(300)

    /// Attacks for so long, or until the attack has done its work.
    ///
    /// - Returns: what the attacker counted.
    func run(_ attack: any Attack.Type, for duration: Duration) async throws -> [String: Int] {
        let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
        let arguments = [
            // Whom they attack may go first (Tests/Hostile/run); they do not.
            "--other", "0", "taskset", "--cpu-list", self.processors,
            // A session of its own, as the conductor has.
            "setsid", "--wait", program, "attack", attack.name, "--port", "\(self.options.port)", "--tls",
            self.options.tls,
            "--connections", "\(self.connections)",
        ]
        let log = try FileDescriptor.open(
            FilePath(self.log), .writeOnly, options: [.append, .create, .closeOnExec], permissions: [.ownerReadWrite])
        return try await Subprocess.run(
            .name("chrt"), arguments: Arguments(arguments), input: .inputWriter, output: .sequence,
            error: .fileDescriptor(log, closeAfterSpawningProcess: true)
        ) { execution in
            let (dones, done) = AsyncStream<Void>.makeStream()
            let output = execution.standardOutput
            let reader = Task {
                var tally: [String: Int] = [:]
                for try await line in output.strings() {
                    if let (name, count) = Tally.read(line) { tally[name] = count }
                    if line == AttackCommand.done { done.finish() }
                }
                done.finish()
                return tally
            }
            if attack.endsByItself {
                await Self.wait(for: dones, atMost: Self.patience)
            } else {
                try await Task.sleep(for: duration)
            }
            try? await execution.standardInputWriter.finish()
            return try await reader.value
        }.closureResult
    }

    private static func wait(for end: AsyncStream<Void>, atMost duration: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in end {} }
            group.addTask { try? await Task.sleep(for: duration) }
            await group.next()
            group.cancelAll()
        }
    }
}
