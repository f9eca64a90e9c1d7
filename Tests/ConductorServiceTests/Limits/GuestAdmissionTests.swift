// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import LogTesting
import NIOCore
import NIOEmbedded
import Testing

@Suite struct GuestAdmissionTests {
    private let eventLoop = EmbeddedEventLoop()

    private func admission(_ configure: (inout ConnectionLimits) -> Void) -> GuestAdmission {
        var limits = ConnectionLimits()
        configure(&limits)
        return GuestAdmission(limits, logger: .quiet)
    }

    private func join(
        _ admission: GuestAdmission, _ instance: String, of tenant: String?
    ) throws -> any RPCPeerRateLimiter {
        let identity = PeerIdentity(names: [tenant ?? "", instance])
        let peer = RPCPeer(certificate: nil, identity: identity, remoteAddress: "", localAddress: "")
        return try admission.admit(peer, on: self.eventLoop, close: { _ in }).get()
    }

    @Test("The guests of a tenant together have one rate of requests")
    func tenantRequestRate() throws {
        let admission = self.admission {
            $0.rates.requestsPerSecond = 10
            $0.rates.requestsBurst = 10
            $0.tenantGuestsAtFullRate = 2
        }
        let now = self.eventLoop.now
        // Four compromised guests, each within its own rate.
        let bad = try (0..<4).map { try self.join(admission, "bad-\($0)", of: "t-bad") }
        let taken = bad.map { share in (0..<10).count { _ in share.chargeRequest(now: now) == nil } }
        #expect(taken.reduce(0, +) == 20)
        // A guest of another tenant, and one without a tenant, are not affected.
        for tenant in ["t-good", nil] {
            let share = try self.join(admission, "good", of: tenant)
            #expect((0..<10).allSatisfy { _ in share.chargeRequest(now: now) == nil })
        }
        // Requests beyond a guest's own rate do not count against its tenant's.
        let later = now + .seconds(1)
        let greedy = (0..<1000).count { _ in bad[0].chargeRequest(now: later) == nil }
        #expect(greedy == 10)
        #expect((0..<10).allSatisfy { _ in bad[1].chargeRequest(now: later) == nil })
        #expect(bad[2].chargeRequest(now: later) != nil)
    }

    @Test("The guests of a tenant are paused together when it exceeds its rate of bytes")
    func tenantByteRate() throws {
        let admission = self.admission {
            $0.rates.bytesPerSecond = 1000
            $0.rates.bytesBurst = 1000
            $0.tenantGuestsAtFullRate = 2
        }
        let now = self.eventLoop.now
        let shares = try (0..<3).map { try self.join(admission, "bad-\($0)", of: "t-bad") }
        shares[0].chargeReceived(bytes: 900, now: now)
        shares[1].chargeReceived(bytes: 900, now: now)
        #expect(shares.allSatisfy { $0.pause(now: now) == nil })
        shares[0].chargeReceived(bytes: 300, now: now)
        #expect(shares[2].pause(now: now) != nil)
        #expect(shares[0].pause(now: now) != nil)
    }

    /// Only its own requests close a guest's connection, and no bytes do, including its tenant's.
    @Test("Neither bytes nor other guests' requests exhaust a guest's rejections")
    func exhaustedRejections() throws {
        let admission = self.admission {
            $0.rates.requestsPerSecond = 10
            $0.rates.requestsBurst = 10
            $0.rates.bytesPerSecond = 1000
            $0.rates.bytesBurst = 1000
            $0.tenantGuestsAtFullRate = 1
        }
        let now = self.eventLoop.now
        let shares = try (0..<2).map { try self.join(admission, "inst-\($0)", of: "t-1") }
        shares[0].chargeReceived(bytes: 5000, now: now)
        #expect(shares.allSatisfy { $0.pause(now: now) != nil && !$0.hasExhaustedRejections(now: now) })
        // Ten requests within the guest's rate, then a thousand rejections.
        for _ in 0..<1010 { _ = shares[0].chargeRequest(now: now) }
        #expect(shares[0].hasExhaustedRejections(now: now) && !shares[1].hasExhaustedRejections(now: now))
    }

    @Test("A tenant is forgotten with its last guest, but not while it is in debt")
    func forgottenTenant() async throws {
        let admission = self.admission {
            $0.rates.requestsPerSecond = 10
            $0.rates.requestsBurst = 10
            $0.rates.bytesPerSecond = 1024
            $0.rates.bytesBurst = 1024
            $0.tenantGuestsAtFullRate = 1
        }
        func pass(_ seconds: Int64) { self.eventLoop.advanceTime(by: .seconds(seconds)) }
        let guests = try (0..<100).map { try self.join(admission, "inst-\($0)", of: "t-\($0 % 10)") }
        #expect(admission.guests == 100 && admission.tenants == 10)
        for guest in guests { guest.connectionEnded(now: self.eventLoop.now) }
        pass(60)
        // The next admission removes the forgotten guests.
        let last = try self.join(admission, "inst-0", of: "t-0")
        #expect(admission.guests == 1 && admission.tenants == 1)
        last.chargeReceived(bytes: 100 << 10, now: self.eventLoop.now)
        last.connectionEnded(now: self.eventLoop.now)
        pass(60)
        let other = try self.join(admission, "other", of: nil)
        #expect(admission.guests == 2 && admission.tenants == 1)
        pass(100)
        other.connectionEnded(now: self.eventLoop.now)
        #expect(admission.tenants == 0)
    }
}
