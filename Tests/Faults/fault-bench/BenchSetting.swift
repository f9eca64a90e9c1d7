// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import FaultWorkload
import Foundation

/// The programs, files and broker of a run of the bench.
struct BenchSetting: Sendable {
    /// The directory of everything that the run writes.
    let directory: String
    /// The directory in which the programs were built.
    let programs: String
    /// The private RabbitMQ node.
    let broker: TestBroker
    /// The environment of every guest and conductor: the promise that is broken on purpose, if any.
    let environment: [String: String]

    /// The directory of the certificates of conductors and guests.
    var certificates: String { "\(self.directory)/tls" }

    /// Returns the path of a program.
    func program(_ name: String) -> String { "\(self.programs)/\(name)" }

    /// Creates the certificates.
    func makeCertificates(guests: [String]) async throws {
        for arguments in [["init"]] + guests.map({ ["guest", $0, "--tenant", PlannedOperation.tenant(of: $0)] }) {
            let process = try BenchProcess(
                self.program("conductor"), ["certificates"] + arguments + ["--directory", self.certificates],
                log: "\(self.directory)/certificates.log", listened: .standardOutput, onLine: { _ in })
            guard await process.ended() == .exited(0) else { throw BenchError("no certificates can be made") }
        }
    }
}
