import Foundation
import Glibc
import Notifications

/// Sets a damaged file aside under a dated name and puts one made of what can be read in its place.
///
/// A process may end at any moment of this. A marker, made first and removed last, names the damaged file; whoever opens
/// the spool next goes on from there. SQLite touches neither the file nor its log once they have another name, not even
/// through connections that are open: it looks whether the file has moved.
struct SpoolMending {
    /// Damaged files that are kept; a disk that fails again and again must not fill up with them.
    private static let kept = 10
    private let directory: SpoolDirectory

    init(_ directory: SpoolDirectory) { self.directory = directory }

    /// Notes that the file is to be set aside.
    ///
    /// - Throws: ``OutboxError`` when the disk does not take the marker; nothing has changed then.
    func begin(reason: String) throws {
        guard SpoolDirectory.size(self.directory.marker) == nil else { return }
        // The reason may quote what was found.
        let line = String(reason.prefix(500)).split(whereSeparator: \.isNewline).joined(separator: " ")
        try self.write("\(self.directory.newDamagedName())\n\(line)\n", to: self.directory.marker)
    }

    /// Goes on with what the marker says, if there is one.
    ///
    /// - Parameters:
    ///   - running: the operations that run, when the agent that began them is this one.
    ///   - sequence: outcomes that arise later come behind it.
    /// - Returns: what was set aside; nil if there was no marker.
    /// - Throws: what the disk says; the next attempt goes on where this one ended.
    func finish(running: [SpoolChange.Begin]?, after sequence: Int64) throws -> SpoolDamage? {
        guard let marker = FileManager.default.contents(atPath: self.directory.marker) else { return nil }
        let lines = String(decoding: marker, as: UTF8.self).split(separator: "\n")
        guard let name = lines.first, !name.contains("/"), name.hasPrefix("spool.sqlite.damaged-") else {
            throw OutboxError(.failed, "\(self.directory.marker) cannot be read; remove it.")
        }
        let path = "\(self.directory.path)/\(name)"
        if SpoolDirectory.size(path) == nil {
            // The database last: where it is says whether the others have gone.
            for suffix in SpoolDirectory.companions + [""] {
                try self.rename(self.directory.file + suffix, to: path + suffix)
            }
            self.directory.sync()
        }
        var damage: SpoolDamage?
        // An empty one is of another process, which looked for the database in between.
        if SpoolDirectory.size(self.directory.file) ?? 0 == 0 {
            damage = try self.carryOver(
                from: path, reason: lines.count > 1 ? String(lines[1]) : "", running, sequence)
        }
        guard unsafe unlink(self.directory.marker) == 0 else {
            throw self.directory.error(errno, self.directory.marker)
        }
        self.directory.sync()
        self.removeOldest()
        return damage ?? SpoolDamage.all(in: self.directory.path).first { $0.path == path }
    }

    private func carryOver(
        from path: String, reason: String, _ running: [SpoolChange.Begin]?, _ sequence: Int64
    ) throws -> SpoolDamage {
        let target = self.directory.newFile
        self.removeNewFile()
        do {
            try self.write("", to: target)
            var salvage = try SpoolSalvage(from: path, to: target, after: sequence)
            let result = try salvage.run(running: running)
            let damage = SpoolDamage(
                path: path, reason: reason, carriedOver: result.carriedOver, unreadable: result.unreadable)
            let text = String(decoding: JSONWriter.encode(.object(damage.json)), as: UTF8.self)
            try self.write(text + "\n", to: "\(path).json")
            try self.rename(target, to: self.directory.file)
            self.directory.sync()
            return damage
        } catch {
            // A disk that is full needs the room.
            self.removeNewFile()
            throw error
        }
    }

    private func removeNewFile() {
        for suffix in SpoolDirectory.companions + [""] { _ = unsafe unlink(self.directory.newFile + suffix) }
    }

    private func removeOldest() {
        for path in self.directory.damagedFiles.dropLast(Self.kept) {
            for suffix in SpoolDirectory.companions + [".json", ""] { _ = unsafe unlink(path + suffix) }
        }
    }

    private func rename(_ old: String, to new: String) throws(OutboxError) {
        guard unsafe Glibc.rename(old, new) == 0 || errno == ENOENT else { throw self.directory.error(errno, new) }
    }

    /// Writes a small file so that it is whole or not there, for this user only.
    private func write(_ text: String, to path: String) throws(OutboxError) {
        let temporary = "\(path).part"
        let descriptor = unsafe Glibc.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw self.directory.error(errno, temporary) }
        _ = fchmod(descriptor, 0o600)
        let bytes = Array(text.utf8)
        let isWritten = unsafe Glibc.write(descriptor, bytes, bytes.count) == bytes.count && fsync(descriptor) == 0
        let code = errno
        Glibc.close(descriptor)
        guard isWritten else {
            _ = unsafe unlink(temporary)
            throw self.directory.error(code == 0 ? ENOSPC : code, temporary)
        }
        try self.rename(temporary, to: path)
        self.directory.sync()
    }
}
