// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The bytes of a secret. They are overwritten when the last reference to them is released.
package final class SecretBytes: Sendable {
    private let bytes: [UInt8]

    /// Takes the bytes over: overwriting them overwrites every copy that shares their memory. Never pass a literal, whose
    /// memory the compiler may share between all its uses.
    package init(_ bytes: consuming [UInt8]) { self.bytes = bytes }

    deinit {
        unsafe self.bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            unsafe explicit_bzero(UnsafeMutableRawPointer(mutating: base), buffer.count)
        }
    }

    /// Whether there are no bytes.
    package var isEmpty: Bool { self.bytes.isEmpty }

    /// Calls the body with the bytes, which are valid only until it returns.
    package func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        unsafe self.bytes.withUnsafeBytes(body)
    }

    /// Calls the body with a copy of the bytes in memory of its own, which is overwritten when the body returns or
    /// throws.
    package func withCopy<Result, Failure>(
        _ body: (inout [UInt8]) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var copy = unsafe self.bytes.withUnsafeBytes { unsafe Array($0) }
        defer { Self.wipe(&copy) }
        return try body(&copy)
    }

    /// Overwrites the bytes, so that they do not stay in freed memory.
    package static func wipe(_ bytes: inout [UInt8]) {
        unsafe bytes.withUnsafeMutableBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            unsafe explicit_bzero(base, buffer.count)
        }
    }
}
