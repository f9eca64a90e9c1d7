import Foundation
import GRDB
import SecureFiles

/// The machine that a spool was written on, as far as it can be told from another.
struct GuestMachine: Sendable, Hashable {
    /// Of the installed system: a clone has the same until its first start makes another.
    var machineID: String?
    /// Of the running system since its start.
    var bootID: String?
    /// Of the virtual machine, which root alone may read: a clone has another.
    var productUUID: ProductUUID?

    /// This machine.
    static func present() -> GuestMachine {
        GuestMachine(
            machineID: Self.line("/etc/machine-id") ?? Self.line("/var/lib/dbus/machine-id"),
            bootID: Self.line("/proc/sys/kernel/random/boot_id"),
            productUUID: Self.line("/sys/class/dmi/id/product_uuid").flatMap { ProductUUID($0) })
    }

    /// Nil for a file that does not say: an image's machine id is empty, or `uninitialized`, until the first start.
    private static func line(_ path: String) -> String? {
        guard let contents = try? FileContents(path, limit: 4096) else { return nil }
        let line = String(decoding: contents.bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        return (16...64).contains(line.utf8.count) ? line : nil
    }
}

/// The UUID that the firmware gives a virtual machine, or a board.
struct ProductUUID: Sendable, Hashable, CustomStringConvertible {
    /// In lower case.
    let description: String

    /// Values that makers leave in many boards, and that identify none of them.
    private static let placeholders: Set<String> = [
        "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "03000200-0400-0500-0006-000700080009",
    ]

    /// Nil for text that is no UUID, or that many machines have.
    init?(_ text: String) {
        guard let uuid = UUID(uuidString: text) else { return nil }
        self.description = uuid.uuidString.lowercased()
        if Self.placeholders.contains(self.description) || Self.placeholders.contains(self.swapped) { return nil }
    }

    /// The same with the bytes of the first three groups in the other order: SMBIOS 2.6 said which one counts, and hypervisors,
    /// VMware's among them, changed to it later.
    private var swapped: String {
        let groups = self.description.split(separator: "-")
        let first = groups.prefix(3).map { group in
            stride(from: group.count - 2, through: 0, by: -2).map { group.dropFirst($0).prefix(2) }.joined()
        }
        return (first + groups.dropFirst(3).map(String.init)).joined(separator: "-")
    }

    /// Whether both can be the same machine's.
    func isSame(as other: ProductUUID) -> Bool { self == other || self.swapped == other.description }
}

/// Where a spool comes from, as is recorded in it: another machine's, a copy or another guest's must not be mistaken for this
/// one's.
struct SpoolOrigin: Sendable, Hashable {
    /// The name that the guest's certificate gave it; nil before an agent with a certificate used the spool.
    var guest: String?
    /// The machine.
    var machine = GuestMachine()
    /// When the database file was made, `SECONDS.NANOSECONDS` since 1970; nil where the file system does not say.
    var fileMade: String?
    /// Whether a claim has begun and not ended: outcomes of another guest may not be set aside, or marked as its, yet.
    var isBeingClaimed = false

    /// Why operations that were running when the spool was last written may have ended elsewhere since; nil for a spool that
    /// was left where it is, by a crash or a power cut at the worst.
    ///
    /// The virtual machine's UUID counts more than the machine id, which an image may bring along, and a first start changes. When
    /// the file was made is compared in any case. Its inode and its file system prove nothing: both are the same in a snapshot of
    /// the volume, and either may change where the file stays, as over a network.
    ///
    /// - Parameters:
    ///   - machine: the present machine.
    ///   - made: when the present file was made.
    func copyReason(on machine: GuestMachine, fileMade made: String?) -> String? {
        if let then = self.machine.productUUID, let now = machine.productUUID {
            if !then.isSame(as: now) {
                return "the spool was written in another virtual machine (UUID \(then), and this one's is \(now))"
            }
        } else if let then = self.machine.machineID, let now = machine.machineID, then != now {
            return "the spool was written on another machine (machine id \(then), and this one's is \(now))"
        }
        if let then = self.fileMade, let now = made, then != now {
            return "the spool's file is a copy, or was restored from one"
        }
        return nil
    }

    /// Why what waits in the spool is not this guest's; nil when it is, or when that was never recorded.
    ///
    /// - Parameter names: what this guest's certificate calls it.
    func strangerReason(_ names: [String]) -> String? {
        guard let guest, let name = names.first, !names.contains(guest) else { return nil }
        return "the outcome is of another guest, \(guest), and this one's certificate names \(name)"
    }
}

// The table `origin`: one row, or none before the first time.
extension SpoolOrigin {
    /// Reads what is recorded; nil when nothing is, or when it is damaged.
    init?(_ db: Database) throws {
        // By name: a damaged spool of an earlier version has fewer columns.
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
    /// When a file was made, as ``SpoolOrigin`` has it.
    func made(_ name: String) -> String? {
        self.birth(of: name).map { "\($0.seconds).\($0.nanoseconds)" }
    }
}
