// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
package import TLSChannel

extension CertificateAuthority {
    /// Creates this authority's next revocation list, as PEM text.
    ///
    /// - Parameters:
    ///   - certificates: certificates of this authority to revoke, as PEM text, one each; one that is revoked already
    ///     remains so.
    ///   - previous: the previous list, whose entries are kept; nil starts an empty list.
    ///   - validity: the period in which peers may use the list; it ends at the list's nextUpdate.
    /// - Throws: `.malformedPEM`; `.certificateNotIssued` for a certificate or a list that is not this authority's.
    package func revocationList(
        revoking certificates: [String] = [], after previous: String? = nil, validity: CertificateValidity
    ) throws(TLSError) -> String {
        try self.withHandles { (issuer, key) throws(TLSError) in
            let builder = try RevocationListBuilder(issuer: issuer, validity: validity)
            if let previous {
                let lists = try PEMDocument("the previous revocation list", .pem(previous)).revocationLists()
                defer { for list in lists { X509_CRL_free(list) } }
                try builder.keepEntries(of: lists[0])
            }
            for text in certificates {
                let parsed = try PEMDocument("the certificate to revoke", .pem(text)).certificates()
                defer { PEMDocument.free(parsed) }
                try builder.revoke(parsed[0], at: validity.notBefore)
            }
            return try builder.signed(by: key)
        }
    }
}
