// SPDX-License-Identifier: Apache-2.0

import Dispatch
import GRDB
import NIOConcurrencyHelpers
import Notifications
import Testing

@testable import GuestSpool

@Suite struct SpoolWriterTests {
    @Test("Outcomes that arrive together are written in one transaction that is synced to the disk")
    func batchedOutcomes() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            var ids: [MessageID] = []
            for _ in 0..<50 { ids.append(try await fixture.begin(spool)) }
            let statements = NIOLockedValueBox<[String]>([])
            spool.store.writing.sync {
                try? spool.store.write { db in
                    db.trace { event in statements.withLockedValue { $0.append(event.description) } }
                }
            }
            try await fixture.together(spool, 50) { [ids] group in
                for id in ids { group.addTask { try await spool.finish(fixture.report(id: id)) } }
            }
            let seen = statements.withLockedValue { $0 }
            let commits = seen.indices.filter { seen[$0].hasPrefix("COMMIT") }
            // Another commit may be that of the begun operations, if it was still pending.
            let inserting = seen.indices.filter { seen[$0].hasPrefix("INSERT INTO waiting") }
            #expect(inserting.count == 50)
            #expect(commits.count { $0 > inserting[0] && $0 < inserting[49] } == 0)
            let synchronous = seen[..<inserting[0]].last { $0.hasPrefix("PRAGMA synchronous") }
            #expect(synchronous == "PRAGMA synchronous = FULL")
            try await spool.close()
        }
    }

    @Test("An outcome that arrives during a transaction is written in the same transaction")
    func arrivalDuringTransaction() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let first = try await fixture.begin(spool)
            let second = try await fixture.begin(spool)
            let late = SpoolWrite(.finish(.init(fixture.report(id: second))), nil, deadline: .distantFuture)
            let statements = NIOLockedValueBox<[String]>([])
            let writer = spool.writer
            spool.store.writing.sync {
                try? spool.store.write { db in
                    db.trace { [weak writer] event in
                        let isFirst = statements.withLockedValue { seen in
                            seen.append(event.description)
                            return seen.count { $0.hasPrefix("INSERT INTO waiting") } == 1
                        }
                        // It arrives in the middle of the transaction.
                        if isFirst, event.description.hasPrefix("INSERT INTO waiting") { writer?.enqueue(late) }
                    }
                }
            }
            try await spool.finish(fixture.report(id: first))
            spool.store.writing.sync {}
            let seen = statements.withLockedValue { $0 }
            let inserting = seen.indices.filter { seen[$0].hasPrefix("INSERT INTO waiting") }
            try #require(inserting.count == 2)
            #expect(!seen[inserting[0]..<inserting[1]].contains { $0.hasPrefix("COMMIT") })
            #expect(try await fixture.messageIDs(spool) == [first, second])
            try await spool.close()
        }
    }

    @Test("The size of a running operation is known and not queried when it finishes")
    func noSizeQueryAtFinish() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let id = try await fixture.begin(spool)
            let statements = NIOLockedValueBox<[String]>([])
            spool.store.writing.sync {
                try? spool.store.write { db in
                    db.trace { event in statements.withLockedValue { $0.append(event.description) } }
                }
            }
            try await spool.finish(fixture.report(id: id))
            let again = await #expect(throws: OutboxError.self) { try await spool.finish(fixture.report(id: id)) }
            #expect(again?.code == .notBegun)
            let seen = statements.withLockedValue { $0 }
            #expect(seen.count { $0.hasPrefix("INSERT INTO waiting") } == 1)
            // The second attempt made this query, for an operation that is no longer known.
            #expect(seen.count { $0.hasPrefix("SELECT length") } == 1)
            #expect(try await fixture.tallyAgrees(spool))
            try await spool.close()
        }
    }

    @Test("Of two outcomes of one operation in one transaction only one is recorded")
    func duplicateOutcomes() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let id = try await fixture.begin(spool)
            let failures = NIOLockedValueBox<[OutboxError.Code]>([])
            try await fixture.together(spool, 2) { group in
                for _ in 0..<2 {
                    group.addTask {
                        do { try await spool.finish(fixture.report(id: id)) } catch let error as OutboxError {
                            failures.withLockedValue { $0.append(error.code) }
                        }
                    }
                }
            }
            #expect(failures.withLockedValue { $0 } == [.notBegun])
            #expect(try await fixture.messageIDs(spool) == [id])
            #expect(try await fixture.tallyAgrees(spool))
            try await spool.close()
        }
    }

    @Test("A begun operation is synced to the disk without waiting for an outcome")
    func syncAfterBegin() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let (levels, continuation) = AsyncStream.makeStream(of: String.self)
            spool.store.writing.sync {
                try? spool.store.write { db in
                    db.trace { event in
                        if event.description.hasPrefix("PRAGMA synchronous") { continuation.yield(event.description) }
                    }
                }
            }
            _ = try await fixture.begin(spool)
            var iterator = levels.makeAsyncIterator()
            #expect(await iterator.next() == "PRAGMA synchronous = NORMAL")
            #expect(await iterator.next() == "PRAGMA synchronous = FULL")
            try await spool.close()
        }
    }

    /// Writes that need no sync and follow without a pause delay neither the sync nor a retry of rejected writes.
    @Test("Operations that begin without a pause are synced to the disk too")
    func syncUnderConstantBegins() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let writer = spool.writer
            let seen = NIOLockedValueBox((begun: 0, isSynced: false))
            let (ends, end) = AsyncStream.makeStream(of: Void.self)
            spool.store.writing.sync {
                try? spool.store.write { db in
                    db.trace { [weak writer] event in
                        if event.description.hasPrefix("PRAGMA synchronous = FULL") {
                            seen.withLockedValue { $0.isSynced = true }
                        }
                        guard event.description.hasPrefix("COMMIT") else { return }
                        // Each COMMIT first enqueues the next write, for many times as long as a sync may wait.
                        let isOver = seen.withLockedValue { seen in
                            seen.begun += 1
                            return seen.isSynced || seen.begun > 20_000
                        }
                        guard !isOver else { return end.finish() }
                        let operation = BegunOperation(messageID: MessageID(), context: fixture.context)
                        writer?.enqueue(SpoolWrite(.begin(.init(operation)), nil, deadline: .distantFuture))
                    }
                }
            }
            _ = try await fixture.begin(spool)
            for await _ in ends {}
            #expect(seen.withLockedValue { $0.isSynced })
            try await spool.close()
        }
    }

    @Test("After a refused sync, the next operation that begins is synced with its own transaction")
    func syncAfterRefusal() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let (statements, continuation) = AsyncStream.makeStream(of: String.self)
            spool.store.writing.sync {
                try? spool.store.write { db in
                    // A sync of its own is the only transaction that leaves the counts as they are.
                    try db.execute(
                        sql: """
                            CREATE TEMP TRIGGER refuse BEFORE UPDATE ON main.tally WHEN NEW.begun = OLD.begun
                            BEGIN SELECT RAISE(ABORT, 'refused'); END
                            """)
                    db.trace { event in
                        let text = event.description
                        if text.hasPrefix("PRAGMA synchronous") || text.hasPrefix("COMMIT")
                            || text.hasPrefix("ROLLBACK")
                        {
                            continuation.yield(text)
                        }
                    }
                }
            }
            _ = try await fixture.begin(spool)
            var iterator = statements.makeAsyncIterator()
            var seen: [String] = []
            while let statement = await iterator.next() {
                seen.append(statement)
                if statement.hasPrefix("ROLLBACK") { break }
            }
            #expect(
                seen.prefix(3) == ["PRAGMA synchronous = NORMAL", "COMMIT TRANSACTION", "PRAGMA synchronous = FULL"])
            _ = try await fixture.begin(spool)
            #expect(await iterator.next() == "PRAGMA synchronous = FULL")
            #expect(await iterator.next() == "COMMIT TRANSACTION")
            try await spool.close()
        }
    }

    @Test("Of an overdue batch, each operation is retried alone and unsynced if one of them cannot begin")
    func retryOfOverdueBatch() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let writer = spool.writer
            let statements = NIOLockedValueBox<[String]>([])
            let operations = (0..<3).map { _ in BegunOperation(messageID: MessageID(), context: fixture.context) }
            spool.store.writing.sync {
                try? spool.store.write { db in
                    try db.execute(
                        sql: """
                            CREATE TEMP TRIGGER refuse BEFORE INSERT ON main.running
                            WHEN NEW.message_id = '\(operations[1].messageID)'
                            BEGIN SELECT RAISE(ABORT, 'refused'); END
                            """)
                }
            }
            var isOverdue = false
            while !isOverdue {
                _ = try await fixture.begin(spool)
                isOverdue = spool.store.writing.sync {
                    // As long as this queue is blocked, no sync is made.
                    while writer.machine.withLockedValue({ $0.sync.deadline(after: .seconds(0)) != nil }) {
                        let isDue = writer.machine.withLockedValue { machine in
                            machine.sync.isDue(.now(), delay: SpoolWriterStateMachine.syncDelay)
                        }
                        guard isDue else { continue }
                        try? spool.store.write { db in
                            db.trace { event in
                                let text = event.description
                                if text.hasPrefix("PRAGMA synchronous") || text.hasPrefix("COMMIT") {
                                    statements.withLockedValue { $0.append(text) }
                                }
                            }
                        }
                        for operation in operations {
                            writer.enqueue(SpoolWrite(.begin(.init(operation)), nil, deadline: .distantFuture))
                        }
                        return true
                    }
                    return false
                }
            }
            try await spool.close()
            let seen = statements.withLockedValue { $0 }
            let (synced, unsynced) = ("PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL")
            #expect(
                seen.prefix(6) == [
                    synced, unsynced, "COMMIT TRANSACTION", unsynced, unsynced, "COMMIT TRANSACTION",
                ])
            // The sync that is still overdue follows.
            #expect(seen.dropFirst(6).first == synced)
        }
    }

    @Test("A transaction that is to be synced adds to the WAL")
    func syncWritesToWAL() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let (sizes, continuation) = AsyncStream.makeStream(of: Int.self)
            spool.store.writing.sync {
                try? spool.store.write { db in
                    db.trace { event in
                        guard event.description.hasPrefix("PRAGMA synchronous = FULL") else { return }
                        continuation.yield(SpoolDirectory.size("\(fixture.file)-wal") ?? 0)
                    }
                }
            }
            _ = try await fixture.begin(spool)
            var iterator = sizes.makeAsyncIterator()
            let before = try #require(await iterator.next())
            // A transaction that adds nothing to the WAL does not wait for the disk.
            spool.store.writing.sync {}
            #expect(SpoolDirectory.size("\(fixture.file)-wal") ?? 0 > before)
            try await spool.close()
        }
    }

    @Test("Interrupted operations are recorded with full synchronization")
    func syncInterruptedOperations() async throws {
        try await SpoolFixture.with { fixture in
            try await fixture.open().close()
            try fixture.change("INSERT INTO running VALUES ('no id', '{}', 'then')")
            try fixture.change("UPDATE tally SET begun = 1, running = 1")
            let file = try SpoolFile(SpoolDirectory(path: fixture.directory))
            #expect(try file.interruptRunning(settingAside: nil).count == 1)
            func level() throws -> Int? {
                try file.database.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA synchronous") }
            }
            #expect(try level() == 2)
            try file.close()
        }
    }

    @Test("After a failed write the WAL is emptied before the next transaction")
    func emptyWALAfterFailure() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let first = try await fixture.run(spool)
            let log = NIOLockedValueBox<Int?>(nil)
            spool.store.writing.sync {
                try? spool.store.write { db in
                    db.trace { event in
                        if event.description.hasPrefix("BEGIN") {
                            log.withLockedValue { $0 = $0 ?? SpoolDirectory.size("\(fixture.file)-wal") }
                        }
                    }
                }
                spool.writer.markLogSuspect()
            }
            let second = try await fixture.run(spool)
            // The WAL was empty when the first transaction began.
            #expect(log.withLockedValue { $0 } == 0)
            #expect(try await fixture.messageIDs(spool) == [first.messageID, second.messageID])
            try await spool.close()
        }
    }

    @Test("An invalid write fails only for its own caller")
    func invalidWrites() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let known = try await fixture.begin(spool)
            let running = try await fixture.begin(spool)
            let errors = NIOLockedValueBox<[OutboxError]>([])
            try await fixture.together(spool, 5) { group in
                func failing(_ body: @escaping @Sendable () async throws -> Void) {
                    group.addTask {
                        do { try await body() } catch let error as OutboxError {
                            errors.withLockedValue { $0.append(error) }
                        }
                    }
                }
                group.addTask { _ = try await fixture.begin(spool) }
                failing { _ = try await fixture.begin(spool, known) }
                failing { try await spool.finish(fixture.report()) }
                group.addTask { try await spool.finish(fixture.report(id: running)) }
                group.addTask { _ = try await fixture.begin(spool) }
            }
            let codes = errors.withLockedValue { $0.map(\.code) }
            #expect(codes.count == 2 && codes.contains(.alreadyBegun) && codes.contains(.notBegun))
            let counts = try await spool.counts()
            #expect(counts.isBalanced && counts.begun == 4 && counts.running == 3 && counts.waiting == 1)
            try await spool.close()
        }
    }

    @Test("A change that the database rejects is undone alone and completely")
    func rejectedChange() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let first = try await fixture.begin(spool)
            let second = try await fixture.begin(spool)
            let refused = second.description
            spool.store.writing.sync {
                try? spool.store.write { db in
                    try db.execute(
                        sql: """
                            CREATE TEMP TRIGGER refuse BEFORE INSERT ON main.waiting WHEN NEW.message_id = '\(refused)'
                            BEGIN SELECT RAISE(ABORT, 'refused'); END
                            """)
                }
            }
            let failures = NIOLockedValueBox(0)
            try await fixture.together(spool, 2) { group in
                group.addTask { try await spool.finish(fixture.report(id: first)) }
                group.addTask {
                    do { try await spool.finish(fixture.report(id: second)) } catch {
                        failures.withLockedValue { $0 += 1 }
                    }
                }
            }
            #expect(failures.withLockedValue { $0 } == 1)
            #expect(try await fixture.messageIDs(spool) == [first])
            let counts = try await spool.counts()
            #expect(counts.isBalanced && counts.running == 1 && counts.waiting == 1)
            spool.store.writing.sync { try? spool.store.write { try $0.execute(sql: "DROP TRIGGER refuse") } }
            // Kept in memory, it is written with the next outcome.
            let third = try await fixture.run(spool).messageID
            #expect(try await fixture.messageIDs(spool) == [first, second, third])
            try await spool.close()
        }
    }

    @Test("A late change that the database rejects does not undo the others of its transaction")
    func rejectedLateChange() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let first = try await fixture.begin(spool)
            let second = try await fixture.begin(spool)
            let late = SpoolWrite(.finish(.init(fixture.report(id: second))), nil, deadline: .distantFuture)
            let writer = spool.writer
            let isLateAskedFor = NIOLockedValueBox(false)
            spool.store.writing.sync {
                try? spool.store.write { db in
                    try db.execute(
                        sql: """
                            CREATE TEMP TRIGGER refuse BEFORE INSERT ON main.waiting
                            WHEN NEW.message_id = '\(second.description)' BEGIN SELECT RAISE(ABORT, 'refused'); END
                            """)
                    db.trace { [weak writer] event in
                        guard event.description.hasPrefix("INSERT INTO waiting") else { return }
                        let isFirst = isLateAskedFor.withLockedValue { isAskedFor in
                            defer { isAskedFor = true }
                            return !isAskedFor
                        }
                        if isFirst { writer?.enqueue(late) }
                    }
                }
            }
            try await spool.finish(fixture.report(id: first))
            #expect(try await fixture.messageIDs(spool) == [first])
            spool.store.writing.sync { try? spool.store.write { try $0.execute(sql: "DROP TRIGGER refuse") } }
            // Kept in memory, it is written with the next outcome.
            let third = try await fixture.run(spool).messageID
            #expect(try await fixture.messageIDs(spool) == [first, second, third])
            try await spool.close()
        }
    }

    @Test("A spool writes all pending changes before it closes")
    func writesBeforeClose() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let id = try await fixture.begin(spool)
            let closing = NIOLockedValueBox<Task<Void, any Error>?>(nil)
            try await fixture.together(spool, 1) { group in
                group.addTask { try await spool.finish(fixture.report(id: id)) }
            } meanwhile: {
                closing.withLockedValue { $0 = Task { try await spool.close() } }
            }
            try await closing.withLockedValue { $0 }?.value
            let again = try await fixture.open()
            #expect(try await fixture.messageIDs(again) == [id])
            try await again.close()
        }
    }

    @Test("A closed spool rejects reads and changes, but not another close or a verification")
    func closedSpool() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            try await spool.close()
            try await spool.close()
            try await spool.verify()
            for use in [
                { _ = try await fixture.begin(spool) }, { try await spool.finish(fixture.report()) },
                { _ = try await spool.entries(after: 0, limit: 1) }, { try await spool.remove([1]) },
                { try await spool.setAside(1, reason: "r") }, { _ = try await spool.counts() },
            ] as [() async throws -> Void] {
                let error = await #expect(throws: OutboxError.self) { try await use() }
                #expect(error?.code == .closed)
            }
        }
    }
}
