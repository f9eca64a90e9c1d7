// SPDX-License-Identifier: Apache-2.0

/// The error of a failed operation: the three values of Python's `sys.exc_info()`, as text.
public struct ExceptionInfo: Sendable, Hashable {
    /// The name of the error's type.
    public var etype: String
    /// The error's text.
    public var value: String
    /// The trace, outermost call first, one element for each line or entry; empty when there is none.
    public var trace: [String]

    /// Creates an error with this type, text and trace.
    public init(etype: String, value: String, trace: [String] = []) {
        self.etype = etype
        self.value = value
        self.trace = trace
    }

    /// The `exception` field of an error event: the trace as Python's `traceback.format_exception` lists it. Its last
    /// entry names the type and the text, so that the field can be understood alone.
    package var formatted: [String] {
        let summary = self.value.isEmpty ? self.etype : "\(self.etype): \(self.value)"
        if let last = self.trace.last?.utf8, last.starts(with: self.etype.utf8) {
            let next = last.dropFirst(self.etype.utf8.count).first
            // An error without a type has all its text in the trace.
            if self.etype.isEmpty || next == nil || next == UInt8(ascii: ":") || next == UInt8(ascii: "\n") {
                return self.trace
            }
        }
        return self.trace + [summary]
    }
}

/// The outcome of an operation.
public enum OperationOutcome: Sendable, Hashable {
    /// The operation succeeded; the payload holds the end fields.
    case end(payload: JSONObject)
    /// The operation failed; the payload holds the identifiers that are known.
    case error(ExceptionInfo, payload: JSONObject)

    /// The phase of the event that reports the outcome.
    package var phase: OperationPhase {
        switch self {
        case .end: .end
        case .error: .error
        }
    }

    /// The fields that the operation itself added.
    package var payload: JSONObject {
        switch self {
        case .end(let payload), .error(_, let payload): payload
        }
    }
}
