// SPDX-License-Identifier: Apache-2.0

import Glibc
import Notifier
import RelayTesting
import Testing

/// Socket options that a conductor's connections inherit from their listener.
@Suite(.timeLimit(.minutes(2))) struct AcceptedSocketTests {
    /// An answer does not wait until the guest has acknowledged the previous one.
    @Test("An accepted connection has TCP_NODELAY set")
    func undelayedAnswers() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) { conductor in
            try await RawGuest.with(conductor) { guest in
                // When the conductor answers, it has set up the connection.
                _ = try await guest.call("{}")
                let sockets = (0..<4096).filter { Self.isAccepted($0, at: conductor.port) }
                #expect(sockets.count == 1)
                #expect(sockets.allSatisfy(Self.isUndelayed))
            }
        }
    }

    /// Whether the descriptor is a connection with this local port.
    private static func isAccepted(_ descriptor: Int32, at port: Int) -> Bool {
        var address = sockaddr_in()
        func ask(_ name: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32) -> Bool {
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            return withUnsafeMutableBytes(of: &address) { bytes in
                guard let start = bytes.baseAddress else { return false }
                return name(descriptor, start.assumingMemoryBound(to: sockaddr.self), &length) == 0
            }
        }
        return ask(getpeername) && ask(getsockname) && address.sin_family == sa_family_t(AF_INET)
            && Int(UInt16(bigEndian: address.sin_port)) == port
    }

    private static func isUndelayed(_ descriptor: Int32) -> Bool {
        var (value, length) = (Int32(0), socklen_t(MemoryLayout<Int32>.size))
        return getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &value, &length) == 0 && value != 0
    }
}
