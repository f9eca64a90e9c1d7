// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC
package import ConductorService
import LogTesting
import NIOConcurrencyHelpers
package import Notifications
import Notifier
import TLSChannel

/// A relay over a driver that confirms at once, and the connection of one guest to it, without a network.
package struct ReportingGuest {
    /// The conductor's own names, which messages must have.
    package static let (publisherID, address) = ("conductor.edge-1", "192.0.2.1:8790")

    private let driver = TestDriver(capacity: 2)
    private let relay: Relay
    private let peer: RPCPeer

    /// Creates a relay that has received nothing yet.
    ///
    /// - Parameters:
    ///   - namesTenant: whether the guest's certificate names its tenant.
    ///   - instance: the instance that the certificate names.
    ///   - rememberedIDs: the number of outcomes that the relay remembers.
    ///   - verifier: checks the contexts' signatures.
    package init(
        namesTenant: Bool = true, instance: String = GuestReport.instance, rememberedIDs: Int = 0,
        verifier: ContextVerifier? = nil
    ) {
        self.relay = Relay(
            notifier: Notifier(drivers: [self.driver]), catalogues: GuestReport.catalogues,
            publisherID: Self.publisherID, rememberedIDs: rememberedIDs, verifier: verifier, logger: .quiet)
        let path = (namesTenant ? "/tenant/\(GuestReport.tenant)" : "") + "/instance/\(instance)"
        self.peer = RPCPeer(
            certificate: PeerCertificate(
                commonName: GuestReport.otherInstance, uris: ["spiffe://conductor.test\(path)"],
                dnsNames: [GuestReport.otherInstance], serialNumber: "01", notBefore: 0, notAfter: .max, sha256: ""),
            remoteAddress: "192.0.2.9:5", localAddress: Self.address)
    }

    /// Sends a call, and returns the results that the relay responds with and the messages that it publishes.
    package func send(_ call: RPCCall) -> (results: [RPCResult], published: [NotificationMessage]) {
        self.driver.reset()
        let results = NIOLockedValueBox<[RPCResult]>([])
        self.relay.handle(call, from: self.peer) { result in results.withLockedValue { $0.append(result) } }
        return (results.withLockedValue { $0 }, self.driver.notifications)
    }
}
