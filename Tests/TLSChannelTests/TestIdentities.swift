// SPDX-License-Identifier: Apache-2.0

import Glibc

@testable import CertificateIssuing
@testable import TLSChannel

/// Certificates made for one test: nothing on disk to expire.
struct TestIdentities {
    let authority: CertificateAuthority
    let server: IssuedCertificate
    let client: IssuedCertificate

    static let yesterday = CertificateValidity(
        notBefore: Int64(time(nil)) - 172_800, notAfter: Int64(time(nil)) - 86_400)

    init() throws {
        self.authority = try CertificateAuthority.create(commonName: "test authority", validity: .days(2))
        self.server = try self.authority.issueServer(
            commonName: "conductor", dnsNames: ["localhost", "*.relay.test"], ipAddresses: ["127.0.0.1", "::1"],
            validity: .days(1))
        self.client = try self.authority.issueClient(
            commonName: "guest", uris: ["conductor:tenant/t1/instance/i1", "conductor:second"], validity: .days(1))
    }

    func serverConfiguration(
        identity: IssuedCertificate? = nil, trust: CertificateAuthority? = nil
    ) -> TLSConfiguration {
        self.configuration(.server, identity ?? self.server, trust)
    }

    func clientConfiguration(
        identity: IssuedCertificate? = nil, trust: CertificateAuthority? = nil
    ) -> TLSConfiguration {
        self.configuration(.client, identity ?? self.client, trust)
    }

    private func configuration(
        _ role: TLSRole, _ identity: IssuedCertificate, _ trust: CertificateAuthority?
    ) -> TLSConfiguration {
        TLSConfiguration(
            role: role, certificateChain: .pem(identity.certificatePEM), privateKey: .pem(identity.privateKeyPEM),
            trustRoots: .pem((trust ?? self.authority).certificatePEM), applicationProtocols: ["conductor-rpc/1"])
    }
}
