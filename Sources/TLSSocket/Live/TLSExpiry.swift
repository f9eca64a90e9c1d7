import CConductorOpenSSL
import Glibc

/// Something of a context that ends some day, and must be renewed before.
package struct TLSExpiry: Sendable, Hashable, CustomStringConvertible {
    /// What ends.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// This side's own certificate: past its end peers refuse this side.
        case certificate
        /// A certificate that is sent along with it, with the same effect.
        case intermediate
        /// An authority that peers come from: past its end its peers are refused.
        case authority
        /// An authority's revocation list: past its nextUpdate its peers are refused.
        case revocationList = "revocation list"
    }

    /// What ends.
    package let kind: Kind
    /// The common name of its subject, of a list of its issuer; escaped.
    package let name: String
    /// Where it was read: `trust roots (file /etc/…)`.
    package let source: String
    /// From when it is valid, in seconds since 1970 (UTC).
    package let notBefore: Int64
    /// Until when, in seconds since 1970 (UTC).
    package let notAfter: Int64
    /// Of a list: whose it is, and which.
    let list: RevocationListEdition?

    /// These values.
    package init(kind: Kind, name: String, source: String, notBefore: Int64, notAfter: Int64) {
        self.init(kind, name, source, notBefore, notAfter, nil)
    }

    init(
        _ kind: Kind, _ name: String, _ source: String, _ notBefore: Int64, _ notAfter: Int64,
        _ list: RevocationListEdition?
    ) {
        self.list = list
        self.kind = kind
        self.name = name
        self.source = source
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    init?(_ kind: Kind, x509: OpaquePointer, source: String) {
        guard let notBefore = PeerCertificate.seconds(X509_get0_notBefore(x509)),
            let notAfter = PeerCertificate.seconds(X509_get0_notAfter(x509))
        else { return nil }
        let name = PeerCertificate.commonName(of: X509_get_subject_name(x509)).map(TLSEngine.printable)
        self.init(kind: kind, name: name ?? "?", source: source, notBefore: notBefore, notAfter: notAfter)
    }

    init(crl: OpaquePointer, _ edition: RevocationListEdition, nextUpdate: Int64, source: String) {
        let name = PeerCertificate.commonName(of: X509_CRL_get_issuer(crl)).map(TLSEngine.printable)
        self.init(.revocationList, name ?? "?", source, edition.published, nextUpdate, edition)
    }

    /// `2026-03-01T00:00:00Z`.
    package var end: String { Self.text(self.notAfter) }

    private static func text(_ seconds: Int64) -> String {
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        var text = [CChar](repeating: 0, count: 64)
        let length = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
        return String(decoding: text[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// One line that says until when it is valid, and how long that is from this moment (in seconds since 1970).
    package func line(now: Int64) -> String {
        if self.isEarly(at: now) {
            return
                "\(self): NOT YET VALID, from \(Self.text(self.notBefore)) on, in \(Self.words(self.notBefore - now))"
        }
        let left = Self.words(self.notAfter - now)
        return
            "\(self): \(self.notAfter < now ? "EXPIRED \(self.end), \(left) ago" : "valid until \(self.end), \(left) left")"
    }

    /// The same without how long that is: it stays the same while time goes on, so that it is said once.
    func fact(now: Int64) -> String {
        if self.isEarly(at: now) { return "\(self): NOT YET VALID, from \(Self.text(self.notBefore)) on" }
        return "\(self): \(self.notAfter < now ? "EXPIRED" : "valid until") \(self.end)"
    }

    /// Whether it is valid only later than this moment, in seconds since 1970.
    package func isEarly(at now: Int64) -> Bool { self.notBefore > now }

    /// Whether peers go by it at this moment, in seconds since 1970.
    func isValid(at now: Int64) -> Bool { self.notBefore <= now && now <= self.notAfter }

    /// The kind, the name and the source.
    package var description: String { "\(self.kind.rawValue) CN=\(self.name) of \(self.source)" }

    /// A length of time in its largest whole unit; which way it points is said elsewhere.
    static func words(_ seconds: Int64) -> String {
        let seconds = abs(seconds)
        for (unit, length) in [("day", 86_400), ("hour", 3600), ("minute", 60)] as [(String, Int64)]
        where seconds >= 2 * length { return "\(seconds / length) \(unit)s" }
        return "\(seconds) s"
    }
}
