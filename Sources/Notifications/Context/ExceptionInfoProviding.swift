/// An error that says itself what its notification should: for errors that stand for a failure elsewhere, such as in a
/// subprocess or in another language's runtime.
public protocol ExceptionInfoProviding: Error {
    /// The type, text and trace to notify.
    var exceptionInfo: ExceptionInfo { get }
}
