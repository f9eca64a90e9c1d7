// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB

/// The rows of the printed tables.
enum Table {
    static func row(_ columns: String...) -> String {
        columns.map { String(repeating: " ", count: max(0, 16 - $0.count)) + $0 }.joined()
    }
}

/// The memory of the guest and the conductor at one moment.
struct MemorySample: Sendable {
    let outcomes: Int
    let guest: ProcessMemory
    let conductor: ProcessMemory

    init(outcomes: Int, guest: Int32, conductor: Int32) throws {
        self.outcomes = outcomes
        self.guest = try ProcessMemory(of: guest)
        self.conductor = try ProcessMemory(of: conductor)
    }

    /// A row of the table.
    var row: String {
        Table.row(
            "\(self.outcomes)", "\(self.guest.resident)", "\(self.guest.peak)", "\(self.conductor.resident)",
            "\(self.conductor.peak)")
    }
}

/// One opening of a spool: the time, and the process's memory in KiB then.
struct Opening: Sendable {
    let time: Duration
    let resident: Int
}

/// Several openings of one spool.
struct OpeningSamples {
    private var times: [Duration] = []
    private var residents: [Int] = []

    mutating func add(_ opening: Opening) {
        self.times.append(opening.time)
        self.residents.append(opening.resident)
    }

    /// The median of the times.
    var time: Duration { self.times.sorted()[self.times.count / 2] }
    /// The median of the memory.
    var resident: Int { self.residents.sorted()[self.residents.count / 2] }
    /// The time in milliseconds.
    var text: String { self.time.milliseconds }
}

extension Duration {
    /// The duration in milliseconds, with one decimal.
    var milliseconds: String { String(format: "%.1f", self / .milliseconds(1)) }
}

/// The space that a spool takes on its disk, in bytes.
struct SpoolSize: CustomStringConvertible {
    /// The size of the database file.
    let total: Int
    /// The size of its pages that are in use.
    let used: Int
    /// The size of the write-ahead log.
    let log: Int

    /// - Parameter directory: the directory of a spool that no agent has open.
    init(of directory: String) throws {
        let file = "\(directory)/spool.sqlite"
        let database = try DatabaseQueue(path: file)
        (self.total, self.used) = try database.read { db in
            let size = try Int.fetchOne(db, sql: "PRAGMA page_size") ?? 0
            let pages = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
            let free = try Int.fetchOne(db, sql: "PRAGMA freelist_count") ?? 0
            return (pages * size, (pages - free) * size)
        }
        let attributes = try? FileManager.default.attributesOfItem(atPath: "\(file)-wal")
        self.log = (attributes?[.size] as? Int) ?? 0
        try database.close()
    }

    var description: String { "\(self.total) bytes, \(self.used) in use, \(self.log) in the log" }
}

/// The number that an outcome of the backlog has in its `request_id`.
enum BacklogNumber {
    private static let prefix = Array("backlog-".utf8)

    /// Finds the number in a notification's bytes.
    static func find(in body: [UInt8]) -> Int? {
        var start = body.startIndex
        while start + self.prefix.count <= body.endIndex {
            let end = start + self.prefix.count
            if body[start] == self.prefix[0], body[start..<end].elementsEqual(self.prefix) {
                return Int(String(decoding: body[end...].prefix { (48...57).contains($0) }, as: UTF8.self))
            }
            start += 1
        }
        return nil
    }
}
