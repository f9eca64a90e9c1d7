// SPDX-License-Identifier: Apache-2.0

import Foundation
import Notifications
import SecureFiles

/// A database file that was found damaged and set aside, as `guest-agent status` lists it. The rows that could be read
/// are in the spool again. A JSON file next to it describes the damage.
package struct DamagedSpoolFile: Sendable, Hashable {
    /// The file's path. Its `-wal` and `-shm` files, if it had any, and the `.json` file are next to it.
    package let path: String
    /// The damage that was found; empty when it is no longer known.
    package let reason: String
    /// The number of rows that were recovered: they could be read, and are in the spool again.
    package let recovered: RecoveredRows
    /// The number of rows that were found and could not be read. Rows in an unreadable page are not counted.
    package let unreadable: Int

    /// The file's name in the spool's directory.
    package var name: String { URL(fileURLWithPath: self.path).lastPathComponent }

    /// Numbers of rows by table.
    package struct RecoveredRows: Sendable, Hashable {
        /// Operations that were running.
        package var running = 0
        /// Outcomes that were waiting.
        package var waiting = 0
        /// Outcomes that were set aside.
        package var setAside = 0
    }

    /// The maximum size of a damaged file's JSON in bytes; it has a few lines.
    private static let maximumJSONSize = 1 << 16

    /// Returns the damaged files in a spool's directory, oldest first. A file whose JSON is missing has no reason.
    ///
    /// - Throws: ``OutboxError`` when the directory cannot be read.
    package static func all(in directory: String) throws -> [DamagedSpoolFile] {
        let directory = SpoolDirectory(path: directory)
        return try Self.all(in: directory, directory.openForReading())
    }

    static func all(in directory: SpoolDirectory, _ opened: CheckedDirectory) throws(OutboxError) -> [DamagedSpoolFile]
    {
        let names: [String]
        do throws(FileError) {
            names = try opened.names()
        } catch {
            throw directory.error(error)
        }
        return SpoolDirectory.damagedNames(among: names).map { name in
            // A damaged file is listed even when its JSON cannot be read.
            let bytes = try? opened.contents(of: "\(name).json", limit: Self.maximumJSONSize)
            let object = bytes.flatMap { bytes -> JSONObject? in
                guard case .object(let object)? = try? JSONValue(json: bytes) else { return nil }
                return object
            }
            return DamagedSpoolFile(path: "\(directory.path)/\(name)", object)
        }
    }

    init(path: String, reason: String, recovered: RecoveredRows, unreadable: Int) {
        self.path = path
        self.reason = reason
        self.recovered = recovered
        self.unreadable = unreadable
    }

    private init(path: String, _ object: JSONObject?) {
        func number(_ name: String) -> Int { object?[name]?.integer ?? 0 }
        self.path = path
        self.reason = object?["reason"]?.string ?? ""
        self.recovered = RecoveredRows(
            running: number("running"), waiting: number("waiting"), setAside: number("set_aside"))
        self.unreadable = number("unreadable")
    }

    var json: JSONObject {
        [
            "reason": .string(self.reason), "running": JSONValue(integerLiteral: self.recovered.running),
            "waiting": JSONValue(integerLiteral: self.recovered.waiting),
            "set_aside": JSONValue(integerLiteral: self.recovered.setAside),
            "unreadable": JSONValue(integerLiteral: self.unreadable),
        ]
    }
}

extension SpoolDirectory {
    private static let damagedPrefix = "spool.sqlite.damaged-"
    /// The marker: a file that contains the damaged file's name until the repair is complete.
    static let marker = "spool.sqlite.mending"
    /// The new file, which a repair creates from the readable rows.
    static let newFile = "spool.sqlite.new"

    /// The marker's path.
    var marker: String { "\(self.path)/\(Self.marker)" }

    /// Whether a damaged file can have this name.
    static func isDamagedName(_ name: String) -> Bool {
        name.hasPrefix(Self.damagedPrefix) && !name.contains("/")
            && !Self.companions.contains { name.hasSuffix($0) }
            && !name.dropFirst(Self.damagedPrefix.count).contains(".")
    }

    /// Returns the names of damaged files among these names, oldest first.
    static func damagedNames(among names: [String]) -> [String] { names.filter(Self.isDamagedName).sorted() }

    /// Returns a name that sorts after those of all damaged files of the same second: the time in ISO 8601's basic
    /// form, and from the second file on a number. A name that was used before and is free again would sort as the
    /// oldest, and that file would be removed first.
    static func newDamagedName(among names: [String], at time: Date = .now) -> String {
        let time = time.formatted(.iso8601.dateSeparator(.omitted).timeSeparator(.omitted))
        let name = "\(Self.damagedPrefix)\(time)"
        let numbers = Self.damagedNames(among: names).filter { $0.hasPrefix(name) }
            .map { Int($0.dropFirst(name.count + 1)) ?? 1 }
        guard let last = numbers.max() else { return name }
        return "\(name)-\(last < 9 ? "0" : "")\(last + 1)"
    }
}
