// SPDX-License-Identifier: Apache-2.0

import GuestAgent
import GuestSpool

/// The errors of spools that cannot be read or changed, collected so that a command goes on with the other spools.
struct SpoolErrorCollector {
    private var errors: [OutboxError] = []

    /// The number of spools that failed.
    var count: Int { self.errors.count }

    /// Runs the body, which concerns one spool.
    ///
    /// - Returns: the body's result; nil when the spool failed.
    @discardableResult
    mutating func catching<Success>(_ body: () async throws -> Success) async throws -> Success? {
        do {
            return try await body()
        } catch let error as OutboxError {
            self.errors.append(error)
            return nil
        }
    }

    /// Prints all errors but one on standard error, and throws that one, which the program prints when it ends.
    ///
    /// - Throws: the error that determines the exit status. Of several it is one with the code
    ///   ``OutboxError/Code/failed``, so that the exit status does not depend on the slots' order. Throws nothing when
    ///   no spool failed.
    func report() throws {
        guard let worst = self.errors.lastIndex(where: { $0.code == .failed }) ?? self.errors.indices.last else {
            return
        }
        for (index, error) in self.errors.enumerated() where index != worst { GuestAgentExit.printMessage("\(error)") }
        throw self.errors[worst]
    }
}
