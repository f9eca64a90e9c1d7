import ConductorRPC
import Notifications

extension OutcomeReport {
    /// How many bytes the request of this outcome is at most, without its line end.
    var lineLength: Int {
        // The longest id that a request can have.
        RPCRequest(id: .number(.init(Int.max)), call: .notify(self)).line.count - 1
    }

    /// Cuts an error that a conductor would refuse for its length: of the trace what is not its last lines, then the
    /// end of the text, then of the type. An end, and an error whose context or fields are too long alone, are left as
    /// they are: nothing in them can be spared.
    ///
    /// - Parameter limit: the longest line that a conductor takes.
    /// - Returns: whether the outcome is short enough now.
    mutating func cut(toLineLength limit: Int) -> Bool {
        self.cutTrace(toLines: Self.longestTrace)
        guard self.upperBound > limit, case let length = self.lineLength, length > limit else { return true }
        guard case .error(var exception, let payload) = self.outcome else { return false }
        let whole = exception
        let texts = [exception.etype, exception.value].map(TextCut.encodedLength).reduce(0, +)
        let trace = exception.trace.reduce(0) { $0 + TextCut.encodedLength(of: $1) + 3 }
        /// What is left for type, text and trace; a comma is counted for each of the trace's lines.
        var room = limit - (length - texts - trace) - 1
        guard room >= 4 * TextCut.markLength else { return false }
        exception.etype = TextCut.beginning(of: whole.etype, encodedLength: room / 4)
        room -= TextCut.encodedLength(of: exception.etype)
        // The trace's mark must fit whatever the text is.
        exception.value = TextCut.beginning(
            of: whole.value, encodedLength: whole.trace.isEmpty ? room : room - TextCut.markLength - 3)
        room -= TextCut.encodedLength(of: exception.value)
        exception.trace = Self.lastLines(of: whole.trace, room)
        self.outcome = .error(exception, payload: payload)
        return self.lineLength <= limit
    }

    /// Half as many lines as a request may have values.
    static let longestTrace = RPCProtocol.maximumValues / 2

    private mutating func cutTrace(toLines count: Int) {
        guard case .error(var exception, let payload) = self.outcome, exception.trace.count > count else { return }
        let left = exception.trace.dropLast(count - 1)
        let mark = TextCut.mark(left.reduce(0) { $0 + $1.utf8.count })
        exception.trace = [mark] + exception.trace.suffix(count - 1)
        self.outcome = .error(exception, payload: payload)
    }

    private static func lastLines(of trace: [String], _ limit: Int) -> [String] {
        guard trace.reduce(0, { $0 + TextCut.encodedLength(of: $1) + 3 }) > limit, let last = trace.last else {
            return trace
        }
        var room = limit - TextCut.markLength - 3
        var kept = trace.endIndex
        while kept > trace.startIndex {
            room -= TextCut.encodedLength(of: trace[kept - 1]) + 3
            guard room >= 0 else { break }
            kept -= 1
        }
        if kept < trace.endIndex {
            let left = trace[..<kept].reduce(0) { $0 + $1.utf8.count }
            return [TextCut.mark(left)] + trace[kept...]
        }
        // Not even the last entry fits, which may be a whole trace in one.
        guard trace.count > 1 else { return [TextCut.end(of: last, encodedLength: limit - 3)] }
        let earlier = trace.dropLast().reduce(0) { $0 + $1.utf8.count }
        let end = TextCut.end(of: last, encodedLength: limit - TextCut.markLength - 6)
        return limit < 2 * TextCut.markLength + 6
            ? [TextCut.mark(earlier + last.utf8.count)] : [TextCut.mark(earlier), end]
    }

    /// More than the line can be, found without writing it.
    private var upperBound: Int {
        var bound = 4096 + self.context.json.encodedLengthBound + self.outcome.payload.encodedLengthBound
        if case .error(let exception, _) = self.outcome {
            bound += 6 * (exception.etype.utf8.count + exception.value.utf8.count)
            for line in exception.trace { bound += 6 * line.utf8.count + 3 }
        }
        return bound
    }
}
