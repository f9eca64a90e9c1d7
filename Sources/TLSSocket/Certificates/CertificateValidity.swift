import Glibc

/// From when until when a certificate is valid, in seconds since 1970 (UTC).
package struct CertificateValidity: Sendable, Hashable {
    /// The first second of validity.
    package let notBefore: Int64
    /// The last second of validity.
    package let notAfter: Int64

    /// Takes the times as they are; also past ones, which make an expired certificate.
    package init(notBefore: Int64, notAfter: Int64) {
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    /// From five minutes ago, so that a peer whose clock is behind can use it at once, for so many days.
    package static func days(_ days: Int) -> CertificateValidity {
        let now = Int64(time(nil))
        return CertificateValidity(notBefore: now - 300, notAfter: now + Int64(days) * 86_400)
    }
}
