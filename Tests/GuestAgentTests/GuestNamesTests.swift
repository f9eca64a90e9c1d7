// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import GuestSpool
import Notifications
import TLSChannel
import Testing

@testable import GuestAgent

@Suite("Guest names in certificates, and matching of answers to requests")
struct GuestNamesTests {
    private func names(_ uris: [String], _ commonName: String? = nil, _ dnsNames: [String] = []) -> [String] {
        PeerCertificate(
            commonName: commonName, uris: uris, dnsNames: dnsNames, serialNumber: "1", notBefore: 0, notAfter: 1,
            sha256: ""
        ).guestNames
    }

    @Test("A guest is identified by its instance, whatever its tenant and trust domain")
    func instanceName() {
        let plain = "spiffe://a/instance/i-1"
        let tenant = "spiffe://b/tenant/t/instance/i-1"
        #expect(self.names([plain], "cn", ["dns"]) == ["i-1", plain, "cn", "dns"])
        #expect(self.names([tenant]).first == "i-1")
        #expect(self.names(["https://x/y/instance/z"], "cn") == ["https://x/y/instance/z", "cn"])
        #expect(self.names([], "cn") == ["cn"])
        #expect(self.names([]).isEmpty)
    }

    @Test("A success for another message id, or of another kind, is recognised as a mistake")
    func mistakenAnswers() {
        let messageID = MessageID()
        typealias Answer = Result<RPCReply, RPCCallError>
        for disposition in [Disposition.published, .duplicate, .disabled] {
            #expect(Answer.success(.accepted(messageID, disposition)).mismatch(for: messageID) == nil)
        }
        #expect(Answer.success(.accepted(MessageID(), .published)).mismatch(for: messageID) != nil)
        #expect(Answer.success(.pong(version: "1")).mismatch(for: messageID) != nil)
        // A failure removes no outcome in any case.
        #expect(Answer.failure(.connectionLost("lost")).mismatch(for: messageID) == nil)
    }
}
