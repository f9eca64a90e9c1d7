// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import SecureFiles

/// The attributes that distinguish the machine on which a spool was written from other machines.
struct GuestMachine: Sendable, Hashable {
    /// The machine id of the installed system. A clone has the same id until its first start creates another.
    var machineID: String?
    /// The id of the running system's current boot.
    var bootID: String?
    /// The UUID of the virtual machine, which only root may read. A clone has another one.
    var productUUID: ProductUUID?

    /// Returns this machine's attributes.
    static func current() -> GuestMachine {
        GuestMachine(
            machineID: Self.line("/etc/machine-id") ?? Self.line("/var/lib/dbus/machine-id"),
            bootID: Self.line("/proc/sys/kernel/random/boot_id"),
            productUUID: Self.line("/sys/class/dmi/id/product_uuid").flatMap { ProductUUID($0) })
    }

    /// Returns a file's first line; nil when the file has no id. In an image, the machine id is empty or
    /// `uninitialized` until the first start.
    private static func line(_ path: String) -> String? {
        guard let contents = try? FileContents(path, limit: 4096) else { return nil }
        let line = String(decoding: contents.bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        return (16...64).contains(line.utf8.count) ? line : nil
    }
}

/// The UUID that the firmware gives a virtual machine or a board.
struct ProductUUID: Sendable, Hashable, CustomStringConvertible {
    /// The UUID in lower case.
    let description: String

    /// Values that manufacturers leave in many boards, and that identify no machine.
    private static let placeholders: Set<String> = [
        "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "03000200-0400-0500-0006-000700080009",
    ]

    /// Creates a UUID from its text; nil when the text is no UUID, or is one that many machines have.
    init?(_ text: String) {
        guard let uuid = UUID(uuidString: text) else { return nil }
        self.description = uuid.uuidString.lowercased()
        if Self.placeholders.contains(self.description) || Self.placeholders.contains(self.swapped) { return nil }
    }

    /// The UUID with the bytes of each of the first three groups reversed. SMBIOS 2.6 specified the byte order, and
    /// hypervisors, including VMware's, changed to it later.
    private var swapped: String {
        let groups = self.description.split(separator: "-")
        let first = groups.prefix(3).map { group in
            stride(from: group.count - 2, through: 0, by: -2).map { group.dropFirst($0).prefix(2) }.joined()
        }
        return (first + groups.dropFirst(3).map(String.init)).joined(separator: "-")
    }

    /// Whether both can be the UUID of the same machine.
    func isSame(as other: ProductUUID) -> Bool { self == other || self.swapped == other.description }
}

/// The recorded origin of a spool. It shows whether the spool is another machine's, another guest's or a copy, which
/// must not be mistaken for this guest's own spool.
struct SpoolOrigin: Sendable, Hashable {
    /// The guest's name in its certificate; nil before an agent with a certificate used the spool.
    var guest: String?
    /// The machine on which the spool was last opened.
    var machine = GuestMachine()
    /// The time at which the database file was created, as `SECONDS.NANOSECONDS` since 1970; nil where the file system
    /// does not report it.
    var fileMade: String?
    /// Whether a claim has begun and not ended: some outcomes of another guest may not be set aside or marked as its
    /// own yet.
    var isBeingClaimed = false

    /// Returns why operations that were running when the spool was last written may have ended elsewhere since. Returns
    /// nil for a spool that stayed where it was, even after a crash or a power cut, and when the recorded or the
    /// current values are not known.
    ///
    /// The virtual machine's UUID takes precedence over the machine id, which an image may contain and a first start
    /// changes. The creation time of the file is compared in any case. The inode and the file system prove nothing:
    /// both are the same in a snapshot of the volume, and either may change while the file stays, as on a network file
    /// system.
    ///
    /// - Parameters:
    ///   - machine: the current machine.
    ///   - made: the creation time of the current file.
    func copyReason(on machine: GuestMachine, fileMade made: String?) -> String? {
        if let then = self.machine.productUUID, let now = machine.productUUID {
            if !then.isSame(as: now) {
                return "the spool was written in another virtual machine (its UUID is \(then), this one's is \(now))"
            }
        } else if let then = self.machine.machineID, let now = machine.machineID, then != now {
            return "the spool was written on another machine (its machine id is \(then), this one's is \(now))"
        }
        if let then = self.fileMade, let now = made, then != now {
            return "the spool's file is a copy, or was restored from one"
        }
        return nil
    }

    /// Returns why the waiting outcomes are not this guest's. Returns nil when they are, or when the guest was never
    /// recorded.
    ///
    /// - Parameter names: this guest's names in its certificate.
    func otherGuestReason(_ names: [String]) -> String? {
        guard let guest, let name = names.first, !names.contains(guest) else { return nil }
        return "the outcome belongs to another guest, \(guest); this guest's certificate names \(name)"
    }
}

// The table `origin` has one row, or none before the first record.
extension SpoolOrigin {
    /// Reads the recorded origin; nil when there is no record. A damaged value counts as not recorded.
    init?(_ db: Database) throws {
        // Columns are read by name: a damaged spool of an earlier version has fewer columns.
        guard let row = try Row.fetchOne(db, sql: "SELECT * FROM origin WHERE id = 1") else { return nil }
        self.guest = Self.text(row, "guest")
        self.machine = GuestMachine(
            machineID: Self.text(row, "machine_id"), bootID: Self.text(row, "boot_id"),
            productUUID: Self.text(row, "product_uuid").flatMap { ProductUUID($0) })
        self.fileMade = Self.text(row, "file_made")
        self.isBeingClaimed = SpoolRow.integer(row["is_claimed"] ?? .null) ?? 0 != 0
    }

    private static func text(_ row: Row, _ column: String) -> String? { SpoolRow.text(row[column] ?? .null) }

    func save(_ db: Database) throws {
        try db.execute(
            sql: """
                INSERT OR REPLACE INTO origin (id, guest, machine_id, boot_id, product_uuid, file_made, is_claimed)
                VALUES (1, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                self.guest, self.machine.machineID, self.machine.bootID, self.machine.productUUID?.description,
                self.fileMade, self.isBeingClaimed,
            ])
    }
}

extension CheckedDirectory {
    /// Returns the creation time of a file in the format of ``SpoolOrigin``.
    func made(_ name: String) -> String? {
        self.creationTime(of: name).map { "\($0.seconds).\($0.nanoseconds)" }
    }
}
