// SPDX-License-Identifier: Apache-2.0

extension ExceptionInfo {
    /// Creates the values that `sys.exc_info()` would have for a Swift error.
    ///
    /// - Parameters:
    ///   - error: the error. Its type's name becomes `etype`, its description `value`.
    ///   - fileID: the file in which it was caught, as `#fileID`.
    ///   - line: the line at which it was caught, as `#line`.
    ///
    /// The trace contains the place and at most 8 underlying errors (the values of the properties `underlyingError`,
    /// `underlying` or `cause`), innermost last. An ``ExceptionInfoProviding`` error provides its own values.
    public init(_ error: any Error, fileID: String = #fileID, line: Int = #line) {
        if let error = error as? any ExceptionInfoProviding {
            self = error.exceptionInfo
            return
        }
        self.init(
            etype: "\(type(of: error))", value: "\(error)", trace: ["caught at \(fileID):\(line)"] + Self.causes(error))
    }

    /// The maximum number of underlying errors. Errors may contain each other in a cycle.
    private static let causeLimit = 8

    private static func causes(_ error: any Error) -> [String] {
        var causes: [String] = []
        var current = error
        while causes.count < self.causeLimit, let cause = self.cause(of: current) {
            causes.append("caused by \(type(of: cause)): \(cause)")
            current = cause
        }
        return causes
    }

    private static func cause(of error: any Error) -> (any Error)? {
        for child in Mirror(reflecting: error).children
        where ["underlyingError", "underlying", "cause"].contains(child.label) {
            // A mirror shows an optional property as an optional; the cast unwraps it.
            if let cause = child.value as? any Error { return cause }
        }
        return nil
    }
}
