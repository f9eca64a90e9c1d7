// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The period in which a certificate or a revocation list is valid, in seconds since 1970 (UTC).
package struct CertificateValidity: Sendable, Hashable {
    /// The first second of validity.
    package let notBefore: Int64
    /// The last second of validity.
    package let notAfter: Int64

    /// Creates a period from these times. Past times are allowed; they make an expired certificate.
    package init(notBefore: Int64, notAfter: Int64) {
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    /// Returns a period that ends this number of days from now. It begins five minutes ago, so that a peer whose clock
    /// is behind can use the certificate at once.
    package static func days(_ days: Int) -> CertificateValidity {
        let now = Int64(time(nil))
        return CertificateValidity(notBefore: now - 300, notAfter: now + Int64(days) * 86_400)
    }
}
