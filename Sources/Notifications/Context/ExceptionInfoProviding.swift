// SPDX-License-Identifier: Apache-2.0

/// An error that provides the type, text and trace of its notification. It is for errors that represent a failure
/// elsewhere, such as in a subprocess or in another language's runtime.
public protocol ExceptionInfoProviding: Error {
    /// The type, text and trace to report.
    var exceptionInfo: ExceptionInfo { get }
}
