// SPDX-License-Identifier: Apache-2.0

import Notifications
import SecureFiles

/// A repair: sets a damaged file aside under a name with the time, and replaces it with a new file that has the
/// readable rows.
///
/// The process may end at any moment of a repair. A marker, which is created first and removed last, names the damaged
/// file, and the next opening of the spool continues the repair. SQLite does not change the file or its log after they
/// were renamed, not even through open connections: it checks whether the file has moved.
struct SpoolRepair {
    /// The maximum number of damaged files: a disk that fails again and again must not fill up with them.
    private static let kept = 10
    /// The maximum size of a marker in bytes. It has two lines, a file name and a reason.
    private static let maximumMarkerSize = 4096
    private let directory: SpoolDirectory
    private let opened: CheckedDirectory

    /// - Throws: ``OutboxError`` when the directory cannot be used.
    init(_ directory: SpoolDirectory) throws(OutboxError) {
        self.directory = directory
        self.opened = try directory.openForWriting()
    }

    /// Runs the body, and converts its file errors to errors for an embedding service.
    private func mapErrors<Success>(_ body: () throws(FileError) -> Success) throws(OutboxError) -> Success {
        do throws(FileError) {
            return try body()
        } catch {
            throw self.directory.error(error)
        }
    }

    /// Writes the marker, which says that the file is to be set aside.
    ///
    /// - Throws: ``OutboxError`` when the disk does not store the marker; then nothing has changed.
    func begin(reason: String) throws {
        guard try self.mapErrors({ () throws(FileError) in try self.opened.size(of: SpoolDirectory.marker) }) == nil
        else { return }
        // The reason may contain text from the damaged file.
        let line = String(reason.prefix(500)).split(whereSeparator: \.isNewline).joined(separator: " ")
        let name = SpoolDirectory.newDamagedName(among: try self.names())
        try self.write("\(name)\n\(line)\n", to: SpoolDirectory.marker)
    }

    /// Continues the repair that the marker describes, if there is one.
    ///
    /// - Parameters:
    ///   - running: the operations that are running, if this agent began them; nil to read them from the file.
    ///   - sequence: outcomes that arise later get a higher sequence.
    /// - Returns: the damaged file that was set aside; nil if there was no marker.
    /// - Throws: the disk's error; the next attempt continues where this one ended.
    func finish(running: [SpoolChange.Begin]?, after sequence: Int64) throws -> DamagedSpoolFile? {
        let marker = try self.mapErrors { () throws(FileError) in
            try self.opened.contents(of: SpoolDirectory.marker, limit: Self.maximumMarkerSize)
        }
        guard let marker else { return nil }
        let lines = String(decoding: marker, as: UTF8.self).split(separator: "\n")
        guard let name = lines.first.map(String.init), SpoolDirectory.isDamagedName(name) else {
            throw OutboxError(.failed, "\(self.directory.marker) cannot be read; remove it.")
        }
        try self.mapErrors { () throws(FileError) in
            guard try self.opened.size(of: name) == nil else { return }
            // The database is renamed last: its name shows whether the other files have been renamed.
            for suffix in SpoolDirectory.companions + [""] {
                try self.rename(SpoolDirectory.file + suffix, to: name + suffix)
            }
            try self.opened.sync()
        }
        var damage: DamagedSpoolFile?
        // Another process that looked for the database in between may have created an empty one.
        if try self.mapErrors({ () throws(FileError) in try self.opened.size(of: SpoolDirectory.file) ?? 0 }) == 0 {
            damage = try self.recover(
                from: name, reason: lines.count > 1 ? String(lines[1]) : "", running, sequence)
        }
        try self.mapErrors { () throws(FileError) in
            try self.opened.remove(SpoolDirectory.marker)
            try self.opened.sync()
        }
        let names = try self.names()
        self.removeOldest(among: names)
        let path = "\(self.directory.path)/\(name)"
        return try damage ?? DamagedSpoolFile.all(in: self.directory, self.opened).first { $0.path == path }
    }

    private func names() throws(OutboxError) -> [String] {
        try self.mapErrors { () throws(FileError) in try self.opened.names() }
    }

    private func recover(
        from name: String, reason: String, _ running: [SpoolChange.Begin]?, _ sequence: Int64
    ) throws -> DamagedSpoolFile {
        let path = "\(self.directory.path)/\(name)"
        self.removeNewFile()
        do {
            let exists = try self.mapErrors { () throws(FileError) in
                for suffix in SpoolDirectory.companions + [""] { try self.opened.checkOpensByPath(name + suffix) }
                return try self.opened.status(of: name) != nil
            }
            try self.write("", to: SpoolDirectory.newFile)
            var recovery = try SpoolRecovery(
                from: exists ? path : nil, to: "\(self.directory.path)/\(SpoolDirectory.newFile)", after: sequence)
            try recovery.copyOrigin(
                made: self.opened.made(name), new: self.opened.made(SpoolDirectory.newFile))
            let result = try recovery.run(running: running)
            let damage = DamagedSpoolFile(
                path: path, reason: reason, recovered: result.recovered, unreadable: result.unreadable)
            let text = String(decoding: JSONWriter.encode(.object(damage.json)), as: UTF8.self)
            try self.write(text + "\n", to: "\(name).json")
            try self.mapErrors { () throws(FileError) in
                try self.opened.rename(SpoolDirectory.newFile, to: SpoolDirectory.file)
                try self.opened.sync()
            }
            return damage
        } catch {
            // A full disk needs the space.
            self.removeNewFile()
            throw error
        }
    }

    private func removeNewFile() {
        for suffix in SpoolDirectory.companions + [""] {
            _ = try? self.opened.remove(SpoolDirectory.newFile + suffix)
        }
    }

    private func removeOldest(among names: [String]) {
        for name in SpoolDirectory.damagedNames(among: names).dropLast(Self.kept) {
            for suffix in SpoolDirectory.companions + [".json", ""] { _ = try? self.opened.remove(name + suffix) }
        }
    }

    private func rename(_ old: String, to new: String) throws(FileError) {
        do throws(FileError) {
            try self.opened.rename(old, to: new)
        } catch {
            if error.kind != .missing { throw error }
        }
    }

    /// Writes a small file atomically, for this user only: the file is complete or does not exist.
    private func write(_ text: String, to name: String) throws(OutboxError) {
        try self.mapErrors { () throws(FileError) in try self.opened.replace(name, with: Array(text.utf8)) }
    }
}
