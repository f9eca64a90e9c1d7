extension ExceptionInfo {
    /// What `sys.exc_info()` would say of a Swift error.
    ///
    /// - Parameters:
    ///   - error: the error. Its type's name becomes `etype`, its description `value`.
    ///   - fileID: where it was caught, as `#fileID`.
    ///   - line: where it was caught, as `#line`.
    ///
    /// The trace holds the place and the errors beneath this one (what its properties `underlyingError` or `cause`
    /// hold), innermost last. An ``ExceptionInfoProviding`` error speaks for itself.
    public init(_ error: any Error, fileID: String = #fileID, line: Int = #line) {
        if let error = error as? any ExceptionInfoProviding {
            self = error.exceptionInfo
            return
        }
        self.init(
            etype: "\(type(of: error))", value: "\(error)", trace: ["caught at \(fileID):\(line)"] + Self.causes(error))
    }

    /// Errors may hold one another in a circle.
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
            // An optional property reflects as itself; the cast looks inside.
            if let cause = child.value as? any Error { return cause }
        }
        return nil
    }
}
