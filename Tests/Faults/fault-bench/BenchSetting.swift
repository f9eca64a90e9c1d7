// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import FaultWorkload
import Foundation

/// Where a run of the bench has its programs, files and broker.
struct BenchSetting: Sendable {
    /// Holds everything that the run writes.
    let directory: String
    /// Where the programs were built.
    let programs: String
    /// The private node.
    let broker: TestBroker
    /// Given to every guest and conductor: the promise that is broken, if one is.
    let environment: [String: String]

    /// The certificates of conductor and guests.
    var certificates: String { "\(self.directory)/tls" }

    /// The path of a program.
    func program(_ name: String) -> String { "\(self.programs)/\(name)" }

    /// Makes the certificates.
    func makeCertificates(guests: [String]) async throws {
        for arguments in [["init"]] + guests.map({ ["guest", $0, "--tenant", PlannedOperation.tenant(of: $0)] }) {
            let process = try BenchProcess(
                self.program("conductor"), ["certificates"] + arguments + ["--directory", self.certificates],
                log: "\(self.directory)/certificates.log", listened: .standardOutput, onLine: { _ in })
            guard await process.ended() == .exited(0) else { throw BenchError("no certificates can be made") }
        }
    }
}
