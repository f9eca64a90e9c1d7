// SPDX-License-Identifier: Apache-2.0

import GRDB

extension SpoolFile {
    /// The number of free pages that are kept for later rows: 4 MiB at SQLite's default page size.
    static let spareFreePages = 1024
    /// The maximum number of pages that one step frees, so that no change waits long for it.
    private static let pagesPerStep = 512

    /// Frees some of the disk space that a backlog has used, when most of the file is free.
    ///
    /// - Returns: whether there is more to free.
    static func vacuum(_ db: Database) throws -> Bool {
        let free = try Int.fetchOne(db, sql: "PRAGMA freelist_count") ?? 0
        let pages = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
        guard free > Self.spareFreePages, free > pages / 2 else { return false }
        let step = min(Self.pagesPerStep, free - Self.spareFreePages)
        try db.execute(sql: "PRAGMA incremental_vacuum(\(step))")
        if free - step > Self.spareFreePages { return true }
        // The file itself shrinks when the write-ahead log is checkpointed. This waits for no other connection.
        try Self.checkpointLog(db)
        return false
    }
}
