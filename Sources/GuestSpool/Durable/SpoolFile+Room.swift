import GRDB

extension SpoolFile {
    /// Free pages below this many are kept for what comes: 4 MiB at SQLite's usual page size.
    static let spareFreePages = 1024
    /// Pages that one step gives back, so that nobody waits long behind it.
    private static let pagesPerStep = 512

    /// Gives some of what a backlog has left behind back to the disk, once most of the file is free.
    ///
    /// - Returns: whether there is more to give back.
    static func giveBackRoom(_ db: Database) throws -> Bool {
        let free = try Int.fetchOne(db, sql: "PRAGMA freelist_count") ?? 0
        let pages = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
        guard free > Self.spareFreePages, free > pages / 2 else { return false }
        let step = min(Self.pagesPerStep, free - Self.spareFreePages)
        try db.execute(sql: "PRAGMA incremental_vacuum(\(step))")
        if free - step > Self.spareFreePages { return true }
        // The file itself becomes shorter when the write-ahead log is carried over into it. Waits for nobody.
        try Self.carryOverLog(db)
        return false
    }
}
