// SPDX-License-Identifier: Apache-2.0

import Glibc
package import NIOCore

/// A splitter of a byte stream into lines, with a hard limit on a line's length.
///
/// It is a plain value rather than a NIO decoder: its owner takes lines one by one, and can leave the rest unread while
/// its window is full. It holds at most one line of the maximum length and the last read.
package struct LineSplitter {
    /// The next item of the stream.
    package enum Frame: Equatable {
        /// A line, without its `\n`.
        case line(ByteBuffer)
        /// A line that exceeded the limit. The rest of it is skipped as it arrives.
        case tooLong
    }

    private let maximumLength: Int
    private var buffer = ByteBuffer()
    /// Readable bytes that are known to hold no line end.
    private var scanned = 0
    /// Whether the rest of a line that was too long is being skipped.
    private var isSkipping = false
    /// The number of lines that have ended, including those that were too long.
    package private(set) var endedLines = 0

    /// - Parameter maximumLength: the longest line, in bytes without its end.
    package init(maximumLength: Int) { self.maximumLength = maximumLength }

    /// The number of bytes that wait to be cut into lines.
    package var bufferedBytes: Int { self.buffer.readableBytes }

    /// Whether a line has begun and not ended. Valid once ``next()`` has returned nil.
    package var isInLine: Bool { self.isSkipping || self.buffer.readableBytes > 0 }

    /// Adds bytes of the stream.
    package mutating func append(_ bytes: ByteBuffer) {
        if self.buffer.readableBytes == 0 {
            // The common case: the last read ended with a line end. Nothing is copied.
            self.buffer = bytes
        } else {
            self.buffer.writeImmutableBuffer(bytes)
        }
    }

    /// Returns the next line; nil until more bytes arrive.
    package mutating func next() -> Frame? {
        while true {
            guard let length = self.lengthOfLine else {
                self.scanned = self.buffer.readableBytes
                if self.isSkipping {
                    self.clear()
                    return nil
                }
                guard self.scanned > self.maximumLength else {
                    self.reclaim()
                    return nil
                }
                self.isSkipping = true
                self.clear()
                return .tooLong
            }
            self.scanned = 0
            self.endedLines += 1
            if self.isSkipping {
                self.isSkipping = false
                self.buffer.moveReaderIndex(forwardBy: length + 1)
                continue
            }
            guard length <= self.maximumLength, let line = self.buffer.readSlice(length: length) else {
                self.buffer.moveReaderIndex(forwardBy: length + 1)
                return .tooLong
            }
            self.buffer.moveReaderIndex(forwardBy: 1)
            return .line(line)
        }
    }

    /// The number of bytes before the first line end; nil if there is none.
    private var lengthOfLine: Int? {
        unsafe self.buffer.withUnsafeReadableBytes { bytes in
            guard let start = bytes.baseAddress, self.scanned < bytes.count else { return nil }
            // The pointer stays within the buffer, because `scanned` is less than its length.
            let end = unsafe memchr(start + self.scanned, Int32(UInt8(ascii: "\n")), bytes.count - self.scanned)
            return unsafe end.map { unsafe UnsafeRawPointer($0) - start }
        }
    }

    private mutating func clear() {
        self.buffer = ByteBuffer()
        self.scanned = 0
    }

    /// Frees memory, so that an idle connection holds none.
    private mutating func reclaim() {
        if self.buffer.readableBytes == 0 {
            self.buffer = ByteBuffer()
        } else {
            self.buffer.discardReadBytes()
        }
    }
}
