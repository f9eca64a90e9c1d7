// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOPosix

/// An error for a conductor whose host has no address that could be connected to.
package struct ConnectError: Error, Sendable, CustomStringConvertible {
    /// The failure of each address, in the system's words.
    package let description: String

    init(_ error: NIOConnectionError) {
        var reasons = error.connectionErrors.map { failure in
            "\(failure.target.ipAddress ?? error.host) port \(error.port): \(Self.reason(failure.error))"
        }
        if reasons.isEmpty {
            reasons = ["\(error.host) was not found; the system's resolver has no address for it"]
        }
        self.description = reasons.joined(separator: "; ")
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as IOError: unsafe String(cString: strerror(error.errnoCode))
        case ChannelError.connectTimeout: "connection timed out"
        default: "\(error)"
        }
    }
}
