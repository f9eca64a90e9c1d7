import NIOCore

/// A FIFO queue of those that wait for a turn, and whether a turn is due already. It has no clock and no event loop.
struct TurnQueue<Element> {
    private var waiting = CircularBuffer<Element>()
    private var isTurnDue = false

    /// Takes a turn at once, unless one is due already.
    ///
    /// - Returns: whether the caller has the turn; then it must schedule the next one.
    mutating func takeNow() -> Bool {
        defer { self.isTurnDue = true }
        return !self.isTurnDue
    }

    /// Adds an element to the queue.
    ///
    /// - Returns: whether the caller must schedule a turn, because none is due.
    mutating func wait(_ element: Element) -> Bool {
        self.waiting.append(element)
        defer { self.isTurnDue = true }
        return !self.isTurnDue
    }

    /// Returns the element that gets the turn that was due. nil when none waits any more; then no turn is due.
    mutating func next() -> Element? {
        self.isTurnDue = !self.waiting.isEmpty
        return self.waiting.popFirst()
    }
}

extension TurnQueue: Sendable where Element: Sendable {}
