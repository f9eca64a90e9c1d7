import GuestAgent

/// Collects the errors of spools that cannot be read or changed, so that a command goes on with the others.
struct RefusedSpools {
    private var errors: [OutboxError] = []

    /// How many spools were refused.
    var count: Int { self.errors.count }

    /// Runs the body, which concerns one spool.
    ///
    /// - Returns: what it returned; nil when the spool is refused.
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
    /// - Throws: the last one's error, by which the program ends; nothing when no spool was refused.
    func report() throws {
        for error in self.errors.dropLast() { GuestAgentExit.say("\(error)") }
        if let last = self.errors.last { throw last }
    }
}
