import GRDB

extension SpoolFile {
    /// The write-ahead log is carried over into the database when it has grown by so many bytes: what SQLite would do
    /// after each 1000 pages.
    static let logStep = 4 << 20

    /// Carries over what no reader still needs where it is. Waits for nobody.
    ///
    /// - Throws: what the disk says; the log may then be less whole than the system tells.
    static func carryOverLog(_ db: Database) throws {
        do {
            try db.checkpoint(.passive)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
            // Another process does it.
        }
    }
}
