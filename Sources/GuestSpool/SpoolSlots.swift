public import Logging
import SecureFiles

/// Several spools in one directory, `exec-1`, `exec-2` and so on, for agents that come and go: each takes the first
/// that no other has, since one spool has one agent.
public struct SpoolSlots: Sendable {
    /// How many agents can run at once.
    public static let limit = 64

    private let directory: String

    /// - Parameter directory: where the slots are, or will be.
    public init(_ directory: String) { self.directory = directory }

    /// The path of a slot, from 1.
    public func path(_ number: Int) -> String { "\(self.directory)/exec-\(number)" }

    /// Whether a slot is called so.
    static func isSlotName(_ name: String) -> Bool { (1...Self.limit).contains { name == "exec-\($0)" } }

    /// The paths of the slots that hold a spool, in order, and of those that this user may not look into.
    ///
    /// - Throws: ``OutboxError`` with ``OutboxError/Code/noSpool`` when there is no such directory, and with
    ///   ``OutboxError/Code/notWritable`` when this user may not look into it.
    public func existing() throws(OutboxError) -> [String] {
        guard let status = try self.status(of: self.directory) else {
            throw OutboxError(.noSpool, "There is no directory \(self.directory).")
        }
        guard status.isDirectory else { throw OutboxError(.noSpool, "\(self.directory) is no directory.") }
        // Whether names in it can be looked up at all.
        _ = try self.status(of: self.directory + "/.")
        return (1...Self.limit).map { self.path($0) }.filter { path in
            do throws(FileError) {
                let slot = SpoolDirectory(path: path)
                // While it is repaired a spool has no database for a moment; a process that ended then left it so.
                if try FileStatus.of(slot.file) != nil { return true }
                return try FileStatus.of(slot.marker) != nil
            } catch {
                // Something is there. Whoever opens it is told what, and the others go on.
                return true
            }
        }
    }

    /// Closes the directory to others where it is this user's own, as ``openFirstFree(configuration:logger:)`` does, so that
    /// slots in it can be changed. What is wrong with it otherwise is said of each slot.
    package func closeToOthers() { _ = try? SpoolDirectory(path: self.directory).openForWriting() }

    private func status(of path: String) throws(OutboxError) -> FileStatus? {
        do throws(FileError) {
            return try FileStatus.of(path)
        } catch {
            throw SpoolDirectory(path: self.directory).isForbidden(error)
        }
    }

    /// Opens the first slot that no agent has, and makes it if it is new. What waits there waits on, and is delivered
    /// along with what this agent adds.
    ///
    /// - Throws: ``OutboxError``, with ``OutboxError/Code/inUse`` when there are as many agents as there can be.
    public func openFirstFree(
        configuration: Spool.Configuration = Spool.Configuration(), logger: Logger
    ) async throws -> (spool: Spool, path: String) {
        let directory = SpoolDirectory(path: self.directory)
        // Names in it are looked up again with each slot; here the directory itself is refused, with its name.
        try await directory.blocking {
            try directory.create()
            _ = try directory.openForWriting()
        }
        for number in 1...Self.limit {
            do {
                let path = self.path(number)
                return (try await Spool.open(path, configuration: configuration, logger: logger), path)
            } catch let error as OutboxError where error.code == .inUse {
                continue
            }
        }
        throw OutboxError(
            .inUse, "All \(Self.limit) slots of \(self.directory) are in use by running agents; wait for one to end.")
    }
}
