// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// A queue of background work, and of reports that event loops have not been notified of yet. It has no thread and no
/// event loop.
struct BackgroundWorkStateMachine<Work, Report> {
    private let reportBatchSize: Int
    private var beginnings = CircularBuffer<Work>()
    private var continuations = CircularBuffer<Work>()
    private var reports: [Report] = []

    /// - Parameter reportBatchSize: the number of reports that are collected before they are passed on.
    init(reportBatchSize: Int) { self.reportBatchSize = reportBatchSize }

    /// Adds a piece of work. Continuations of something begun go before all work that begins.
    mutating func add(_ work: Work, isContinuation: Bool) {
        if isContinuation { self.continuations.append(work) } else { self.beginnings.append(work) }
    }

    /// Removes and returns the next piece of work: continuations first, each kind in FIFO order.
    mutating func next() -> Work? { self.continuations.popFirst() ?? self.beginnings.popFirst() }

    /// Adds the report of a piece of work.
    mutating func add(report: Report) { self.reports.append(report) }

    /// Records that a piece of work has ended.
    ///
    /// - Returns: the reports to pass on now. While more work waits, some may stay until the end of a later piece.
    mutating func ended() -> [Report] {
        let isIdle = self.beginnings.isEmpty && self.continuations.isEmpty
        guard isIdle || self.reports.count >= self.reportBatchSize else { return [] }
        defer { self.reports = [] }
        return self.reports
    }
}

extension BackgroundWorkStateMachine: Sendable where Work: Sendable, Report: Sendable {}
