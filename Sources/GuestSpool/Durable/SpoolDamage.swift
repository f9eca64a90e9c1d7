import Foundation
import Notifications
import SecureFiles

/// A damaged file that was set aside, as `guest-agent status` lists it. What is known of it lies beside it as JSON.
package struct SpoolDamage: Sendable, Hashable {
    /// The file's path. Its `-wal` and `-shm` files, if it had any, and the `.json` file are beside it.
    package let path: String
    /// What was found.
    package let reason: String
    /// What could be read of it and lies in the spool again.
    package let carriedOver: Carried
    /// Rows that were met and could not be read; of what lies in a page that cannot be read, the number is not known.
    package let unreadable: Int

    /// Numbers of rows by table.
    package struct Carried: Sendable, Hashable {
        /// Operations that ran.
        package var running = 0
        /// Outcomes that wait.
        package var waiting = 0
        /// Outcomes that no conductor takes.
        package var setAside = 0
    }

    /// A damaged file's JSON is a few lines.
    private static let longestJSON = 1 << 16

    /// The damaged files in a spool's directory, oldest first. Those whose JSON is missing have no reason.
    ///
    /// - Throws: ``OutboxError`` when the directory cannot be read.
    package static func all(in directory: String) throws -> [SpoolDamage] {
        let directory = SpoolDirectory(path: directory)
        return try Self.all(in: directory, directory.openForReading())
    }

    static func all(in directory: SpoolDirectory, _ opened: CheckedDirectory) throws(OutboxError) -> [SpoolDamage] {
        let names: [String]
        do throws(FileError) {
            names = try opened.names()
        } catch {
            throw directory.error(error)
        }
        return SpoolDirectory.damagedNames(among: names).map { name in
            // What is known of a file is no reason to hide that it is there.
            let bytes = try? opened.contents(of: "\(name).json", limit: Self.longestJSON)
            let object = bytes.flatMap { bytes -> JSONObject? in
                guard case .object(let object)? = try? JSONValue(json: bytes) else { return nil }
                return object
            }
            return SpoolDamage(path: "\(directory.path)/\(name)", object)
        }
    }

    init(path: String, reason: String, carriedOver: Carried, unreadable: Int) {
        self.path = path
        self.reason = reason
        self.carriedOver = carriedOver
        self.unreadable = unreadable
    }

    private init(path: String, _ object: JSONObject?) {
        func number(_ name: String) -> Int { object?[name]?.integer ?? 0 }
        self.path = path
        self.reason = object?["reason"]?.string ?? ""
        self.carriedOver = Carried(
            running: number("running"), waiting: number("waiting"), setAside: number("set_aside"))
        self.unreadable = number("unreadable")
    }

    var json: JSONObject {
        [
            "reason": .string(self.reason), "running": JSONValue(integerLiteral: self.carriedOver.running),
            "waiting": JSONValue(integerLiteral: self.carriedOver.waiting),
            "set_aside": JSONValue(integerLiteral: self.carriedOver.setAside),
            "unreadable": JSONValue(integerLiteral: self.unreadable),
        ]
    }
}

extension SpoolDirectory {
    private static let damagedPrefix = "spool.sqlite.damaged-"
    /// Names the damaged file for as long as setting it aside is not finished.
    static let marker = "spool.sqlite.mending"
    /// The file that is being made of what could be read.
    static let newFile = "spool.sqlite.new"

    /// The marker's path.
    var marker: String { "\(self.path)/\(Self.marker)" }

    /// Whether a damaged file can be called so.
    static func isDamagedName(_ name: String) -> Bool {
        name.hasPrefix(Self.damagedPrefix) && !name.contains("/")
            && !Self.companions.contains { name.hasSuffix($0) }
            && !name.dropFirst(Self.damagedPrefix.count).contains(".")
    }

    /// The damaged files among names, oldest first.
    static func damagedNames(among names: [String]) -> [String] { names.filter(Self.isDamagedName).sorted() }

    /// A name that sorts behind those of all damaged files of the same second: the time in ISO 8601's basic form, and from
    /// the second file on a number. One that was free again would be taken for the oldest, and removed first.
    static func newDamagedName(among names: [String], at time: Date = .now) -> String {
        let time = time.formatted(.iso8601.dateSeparator(.omitted).timeSeparator(.omitted))
        let name = "\(Self.damagedPrefix)\(time)"
        let numbers = Self.damagedNames(among: names).filter { $0.hasPrefix(name) }
            .map { Int($0.dropFirst(name.count + 1)) ?? 1 }
        guard let last = numbers.max() else { return name }
        return "\(name)-\(last < 9 ? "0" : "")\(last + 1)"
    }
}
