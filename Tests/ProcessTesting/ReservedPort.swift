// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A port of 127.0.0.1 that is bound but not listened on: nothing answers there, and no other process can take it.
///
/// A server that sets `SO_REUSEADDR`, like the ones of this project, can listen there, so a test can stop and restart
/// it at one address.
package final class ReservedPort: Sendable {
    /// The system could not reserve a port.
    package struct Failure: Error {}

    /// The port.
    package let port: Int
    /// The port as text.
    package var number: String { "\(self.port)" }
    private let descriptor: Int32

    package init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Failure() }
        var isReused: Int32 = 1
        var address = Self.address(port: 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        // After the bind, so that the system does not choose a port that another process reuses.
        let size = socklen_t(MemoryLayout<Int32>.size)
        guard isBound, setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &isReused, size) == 0 else {
            close(descriptor)
            throw Failure()
        }
        self.descriptor = descriptor
        self.port = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit { close(self.descriptor) }

    /// Returns when nothing listens at a port of 127.0.0.1 any more.
    ///
    /// A listener that this process has closed stays open for a moment in a child that was forked before and has not
    /// yet executed its program. The kernel has no event for its end.
    package static func becomesFree(_ port: Int) async throws {
        while try !self.isFree(port) { try await Task.sleep(for: .milliseconds(1)) }
    }

    /// Only binds: if this probe listened, a child could inherit it.
    private static func isFree(_ port: Int) throws -> Bool {
        let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard probe >= 0 else { throw Failure() }
        defer { close(probe) }
        var isReused: Int32 = 1
        setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &isReused, socklen_t(MemoryLayout<Int32>.size))
        var address = self.address(port: UInt16(port))
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(probe, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private static func address(port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        address.sin_port = port.bigEndian
        return address
    }
}
