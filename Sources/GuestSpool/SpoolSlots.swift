// SPDX-License-Identifier: Apache-2.0

package import Logging
import SecureFiles

/// Several spools in one directory, `exec-1`, `exec-2` and so on, for short-lived agents. A spool has one agent, so
/// each agent uses the first slot that no other agent uses.
package struct SpoolSlots: Sendable {
    /// The maximum number of agents that run at once.
    package static let limit = 64

    private let directory: String

    /// - Parameter directory: the directory of the slots; it may be missing.
    package init(_ directory: String) { self.directory = directory }

    /// Returns the path of a slot; the first slot is 1.
    package func path(_ number: Int) -> String { "\(self.directory)/exec-\(number)" }

    /// Whether a slot has this name.
    static func isSlotName(_ name: String) -> Bool { (1...Self.limit).contains { name == "exec-\($0)" } }

    /// Returns the paths of the slots that hold a spool, in order, and of those that this user may not look into.
    ///
    /// - Throws: ``OutboxError`` with ``OutboxError/Code/noSpool`` when there is no such directory, and with
    ///   ``OutboxError/Code/notWritable`` when this user may not look into it.
    package func existing() throws(OutboxError) -> [String] {
        guard let status = try self.status(of: self.directory) else {
            throw OutboxError(.noSpool, "The directory \(self.directory) does not exist; check the path.")
        }
        guard status.isDirectory else {
            throw OutboxError(.noSpool, "\(self.directory) is not a directory; name the directory of the spools.")
        }
        // Fails unless names in the directory can be looked up.
        _ = try self.status(of: self.directory + "/.")
        return (1...Self.limit).map { self.path($0) }.filter { path in
            do throws(FileError) {
                let slot = SpoolDirectory(path: path)
                // During a repair a spool has no database for a moment. A process that ended then left only the marker.
                if try FileStatus.of(slot.file) != nil { return true }
                return try FileStatus.of(slot.marker) != nil
            } catch {
                // Something is there. Opening that slot reports the error, and the other slots are not affected.
                return true
            }
        }
    }

    /// Removes other users' write permission from the directory when this user owns it, as
    /// ``openFirstFree(configuration:logger:)`` does, so that slots in it can be changed. This method ignores errors:
    /// opening a slot reports them.
    package func restrictToOwner() { _ = try? SpoolDirectory(path: self.directory).openForWriting() }

    private func status(of path: String) throws(OutboxError) -> FileStatus? {
        do throws(FileError) {
            return try FileStatus.of(path)
        } catch {
            throw SpoolDirectory(path: self.directory).isForbidden(error)
        }
    }

    /// Opens the first slot that no agent uses, and creates it if it is new. Outcomes that wait there are delivered
    /// together with those that this agent adds. A slot that cannot be opened is not skipped: the outcomes in it would
    /// wait unnoticed.
    ///
    /// - Throws: ``OutboxError`` of the first slot that cannot be opened, with
    ///   ``OutboxError/Code/inUse`` when all ``limit`` slots are in use.
    package func openFirstFree(
        configuration: Spool.Configuration = Spool.Configuration(), logger: Logger
    ) async throws -> (spool: Spool, path: String) {
        let directory = SpoolDirectory(path: self.directory)
        // Each slot looks up the directory's path again. This check rejects the directory itself, and the error names
        // it.
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
