// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// A FIFO queue of elements that wait for a turn, which knows whether one is due already. It has no clock and no event
/// loop.
struct TurnStateMachine<Element> {
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

    /// Removes and returns the element whose turn has come; nil when none waits, and then no turn is due any more.
    mutating func next() -> Element? {
        self.isTurnDue = !self.waiting.isEmpty
        return self.waiting.popFirst()
    }
}

extension TurnStateMachine: Sendable where Element: Sendable {}
