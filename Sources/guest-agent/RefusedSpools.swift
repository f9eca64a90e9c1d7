import GuestAgent

/// Collects the errors of spools that cannot be read or changed, so that a command goes on with the others.
struct RefusedSpools {
    private var errors: [OutboxError] = []

    /// How many spools were refused.
    var count: Int { self.errors.count }

    /// Runs the body, which concerns one spool.
    ///
    /// - Returns: what it returned; nil when the spool is refused.
    @discardableResult
    mutating func catching<Success>(_ body: () async throws -> Success) async throws -> Success? {
        do {
            return try await body()
        } catch let error as OutboxError {
            self.errors.append(error)
            return nil
        }
    }

    /// Names all of them on standard error.
    ///
    /// - Throws: an error, by which the program ends: of several that of a spool that failed, so that the exit status does not
    ///   depend on the slots' order; nothing when no spool was refused.
    func report() throws {
        guard let worst = self.errors.lastIndex(where: { $0.code == .failed }) ?? self.errors.indices.last else {
            return
        }
        for (index, error) in self.errors.enumerated() where index != worst { GuestAgentExit.say("\(error)") }
        throw self.errors[worst]
    }
}
