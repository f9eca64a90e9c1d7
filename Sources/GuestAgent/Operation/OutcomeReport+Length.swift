// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import Notifications

extension OutcomeReport {
    /// The maximum length in bytes of this outcome's request, without its line end.
    var lineLength: Int {
        // This is the longest id that a request can have.
        RPCRequest(id: .number(.init(Int.max)), call: .notify(self)).line.count - 1
    }

    /// Truncates an error that exceeds the conductor's line limit. The type gets at most a quarter of the space, the
    /// text gets what the type leaves, and the trace gets the rest. The beginnings of type and text are kept, and the
    /// trace's end.
    ///
    /// A trace of more than ``maximumTraceLines`` lines is truncated in any case. Otherwise an end stays unchanged, and so
    /// does an error whose context or fields alone exceed the limit: they contain nothing that can be dropped.
    ///
    /// - Parameter limit: the longest line that a conductor accepts, in bytes.
    /// - Returns: whether the outcome now fits.
    mutating func truncate(toLineLength limit: Int) -> Bool {
        self.cutTrace(toLines: Self.maximumTraceLines)
        guard self.upperBound > limit, case let length = self.lineLength, length > limit else { return true }
        guard case .error(var exception, let payload) = self.outcome else { return false }
        let whole = exception
        let texts = [exception.etype, exception.value].map(TextTruncation.encodedLength).reduce(0, +)
        let trace = exception.trace.reduce(0) { $0 + TextTruncation.encodedLength(of: $1) + 3 }
        /// The bytes that remain for type, text and trace; a comma is counted for each line of the trace.
        var room = limit - (length - texts - trace) - 1
        guard room >= 4 * TextTruncation.markLength else { return false }
        exception.etype = TextTruncation.beginning(of: whole.etype, encodedLength: room / 4)
        room -= TextTruncation.encodedLength(of: exception.etype)
        // The trace's truncation mark must fit, whatever the text is.
        exception.value = TextTruncation.beginning(
            of: whole.value, encodedLength: whole.trace.isEmpty ? room : room - TextTruncation.markLength - 3)
        room -= TextTruncation.encodedLength(of: exception.value)
        exception.trace = Self.lastLines(of: whole.trace, room)
        self.outcome = .error(exception, payload: payload)
        return self.lineLength <= limit
    }

    /// The maximum number of trace lines: half of the values that a request may have.
    static let maximumTraceLines = RPCProtocol.maximumValues / 2

    private mutating func cutTrace(toLines count: Int) {
        guard case .error(var exception, let payload) = self.outcome, exception.trace.count > count else { return }
        let left = exception.trace.dropLast(count - 1)
        let mark = TextTruncation.mark(left.reduce(0) { $0 + $1.utf8.count })
        exception.trace = [mark] + exception.trace.suffix(count - 1)
        self.outcome = .error(exception, payload: payload)
    }

    private static func lastLines(of trace: [String], _ limit: Int) -> [String] {
        guard trace.reduce(0, { $0 + TextTruncation.encodedLength(of: $1) + 3 }) > limit, let last = trace.last else {
            return trace
        }
        var room = limit - TextTruncation.markLength - 3
        var kept = trace.endIndex
        while kept > trace.startIndex {
            room -= TextTruncation.encodedLength(of: trace[kept - 1]) + 3
            guard room >= 0 else { break }
            kept -= 1
        }
        if kept < trace.endIndex {
            let left = trace[..<kept].reduce(0) { $0 + $1.utf8.count }
            return [TextTruncation.mark(left)] + trace[kept...]
        }
        // Not even the last entry fits; it may hold a whole trace.
        guard trace.count > 1 else { return [TextTruncation.end(of: last, encodedLength: limit - 3)] }
        let earlier = trace.dropLast().reduce(0) { $0 + $1.utf8.count }
        let end = TextTruncation.end(of: last, encodedLength: limit - TextTruncation.markLength - 6)
        return limit < 2 * TextTruncation.markLength + 6
            ? [TextTruncation.mark(earlier + last.utf8.count)] : [TextTruncation.mark(earlier), end]
    }

    /// An upper bound of the line's length, computed without encoding the line.
    private var upperBound: Int {
        var bound = 4096 + self.context.json.encodedLengthBound + self.outcome.payload.encodedLengthBound
        if case .error(let exception, _) = self.outcome {
            bound += 6 * (exception.etype.utf8.count + exception.value.utf8.count)
            for line in exception.trace { bound += 6 * line.utf8.count + 3 }
        }
        return bound
    }
}
