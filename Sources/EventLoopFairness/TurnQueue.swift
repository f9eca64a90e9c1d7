import NIOCore

/// Who waits for a turn, first come, first served; and whether a turn is due already. It holds no clock and no event loop.
struct TurnQueue<Element> {
    private var waiting = CircularBuffer<Element>()
    private var isTurnDue = false

    /// Somebody has come who waits only if a turn is due already.
    ///
    /// - Returns: whether it is their turn now; the next is to be arranged then.
    mutating func takeNow() -> Bool {
        defer { self.isTurnDue = true }
        return !self.isTurnDue
    }

    /// Somebody waits.
    ///
    /// - Returns: whether a turn is to be arranged: none is due.
    mutating func wait(_ element: Element) -> Bool {
        self.waiting.append(element)
        defer { self.isTurnDue = true }
        return !self.isTurnDue
    }

    /// A turn that was due has come: whose it is; nil when nobody waits any more, and then none is due.
    mutating func next() -> Element? {
        self.isTurnDue = !self.waiting.isEmpty
        return self.waiting.popFirst()
    }
}

extension TurnQueue: Sendable where Element: Sendable {}
