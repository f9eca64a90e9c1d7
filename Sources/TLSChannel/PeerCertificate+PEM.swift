// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL

extension PeerCertificate {
    /// Reads the first certificate of a PEM text. Nothing in it is verified: use it to inspect a file, not to
    /// authenticate a peer.
    ///
    /// Throws `.malformedPEM`, also for dates that cannot be read.
    package init(pem text: String) throws(TLSError) {
        let document = try PEMDocument("certificate", .pem(text))
        let certificates = try document.certificates()
        defer { PEMDocument.free(certificates) }
        guard let certificate = PeerCertificate(x509: certificates[0]) else {
            throw TLSError(.malformedPEM, "\(document.name): the first certificate has unreadable dates")
        }
        self = certificate
    }
}
