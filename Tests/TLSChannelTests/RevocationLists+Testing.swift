// SPDX-License-Identifier: Apache-2.0

@testable import CertificateIssuing
@testable import TLSChannel

extension RevocationLists {
    /// Creates the lists of one trusted authority, and of those below it.
    convenience init(_ source: TLSSource, of authority: CertificateAuthority) throws(TLSError) {
        try self.init(
            PEMDocument("lists", source), authorities: PEMDocument("authorities", .pem(authority.certificatePEM)))
    }
}
