// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// A state machine that decides from a connection's first bytes whether its ClientHello is complete. It keeps only the
/// bytes of unfinished headers, and uses no OpenSSL.
///
/// It validates nothing: input that cannot become a ClientHello counts as complete at once, so that TLS rejects it with
/// its own error.
package struct ClientHelloStateMachine: Sendable {
    /// The longest ClientHello that is awaited, in bytes. A ClientHello that declares a greater length counts as
    /// complete at once.
    package static let longestHello = 32 << 10
    /// The length of a record's header, in bytes.
    private static let headLength = 5

    /// Whether the input can go to TLS now, without waiting for more.
    package private(set) var isComplete = false
    private var head: [UInt8] = []
    /// The number of bytes of the current record that are still to come.
    private var recordLeft = 0
    /// The message's own header: its type, and its length in three bytes.
    private var messageHead: [UInt8] = []
    private var messageBytes = 0
    private var total = 0

    /// Creates a state machine that has seen no input.
    package init() {}

    /// Scans more bytes.
    package mutating func append(_ bytes: ByteBufferView) {
        var rest = bytes
        self.total += bytes.count
        while !self.isComplete, let byte = rest.first {
            if self.recordLeft == 0 {
                self.head.append(byte)
                rest.removeFirst()
                self.parseRecordHead()
                continue
            }
            let count = min(self.recordLeft, rest.count)
            self.messageHead += rest.prefix(min(count, 4 - self.messageHead.count))
            rest = rest.dropFirst(count)
            self.recordLeft -= count
            self.messageBytes += count
            self.parseMessage()
        }
        // Bounds a long series of records that hold next to nothing of a message.
        if self.total > 2 * Self.longestHello { self.isComplete = true }
    }

    private mutating func parseRecordHead() {
        // Content type 22 (handshake), and the major version of TLS or SSL 3.
        if self.head[0] != 22 || self.head.count > 1 && self.head[1] != 3 { self.isComplete = true }
        guard self.head.count == Self.headLength else { return }
        self.recordLeft = Int(self.head[3]) << 8 | Int(self.head[4])
        self.head = []
        if self.recordLeft == 0 { self.isComplete = true }
    }

    private mutating func parseMessage() {
        if let kind = self.messageHead.first, kind != 1 { self.isComplete = true }
        guard self.messageHead.count == 4 else { return }
        let length = self.messageHead[1...].reduce(0) { $0 << 8 | Int($1) }
        if length > Self.longestHello || self.messageBytes >= length + 4 { self.isComplete = true }
    }
}
