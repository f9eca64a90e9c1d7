import NIOCore

/// What is to be done behind event loops, and what has come of it that they have not been told yet. It holds no thread and no event
/// loop.
struct WorkQueue<Work, Report> {
    private let reportsAtOnce: Int
    private var beginnings = CircularBuffer<Work>()
    private var continuations = CircularBuffer<Work>()
    private var reports: [Report] = []

    /// - Parameter reportsAtOnce: how many reports are gathered at most.
    init(reportsAtOnce: Int) { self.reportsAtOnce = reportsAtOnce }

    /// There is more to do. What goes on with something that was begun goes before all that begins.
    mutating func add(_ work: Work, isContinuation: Bool) {
        if isContinuation { self.continuations.append(work) } else { self.beginnings.append(work) }
    }

    /// What to do next: first come, first served.
    mutating func next() -> Work? { self.continuations.popFirst() ?? self.beginnings.popFirst() }

    /// A piece of work has led to this.
    mutating func add(report: Report) { self.reports.append(report) }

    /// A piece of work has ended.
    ///
    /// - Returns: what to pass on now. While there is more to do some may stay: whoever does that comes here again.
    mutating func ended() -> [Report] {
        let isIdle = self.beginnings.isEmpty && self.continuations.isEmpty
        guard isIdle || self.reports.count >= self.reportsAtOnce else { return [] }
        defer { self.reports = [] }
        return self.reports
    }
}

extension WorkQueue: Sendable where Work: Sendable, Report: Sendable {}
