// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import SystemPackage

/// Runs attackers: this program, in a process of its own, on processors of its own.
struct AttackerProcess {
    let options: TargetOptions
    /// The processors, in the format of `taskset --cpu-list`. The measured programs run on others.
    let processors: String
    /// The number of connections for the attack that opens many.
    let connections: Int
    /// The file to which its errors are appended.
    let log: String

    /// The maximum time of an attack that ends by itself.
    private static let patience = Duration.seconds(300)

    /// Attacks for this long, or until the attack has done its work.
    ///
    /// - Returns: the counts of the attacker.
    func run(_ attack: any Attack.Type, for duration: Duration) async throws -> [String: Int] {
        let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
        let arguments = [
            // The conductor's guests may have priority (Tests/Hostile/run); attackers do not.
            "--other", "0", "taskset", "--cpu-list", self.processors,
            // In a session of its own, like the conductor.
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
