// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import Glibc

/// A certificate or revocation list of a context that expires, and must be renewed before that.
package struct TLSExpiry: Sendable, Hashable, CustomStringConvertible {
    /// The kind of certificate or list.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// This side's own certificate: after its end peers reject this side.
        case certificate
        /// An intermediate certificate that is sent with it, with the same effect.
        case intermediate
        /// An authority of peers: after its end its peers are rejected.
        case authority
        /// An authority's revocation list: after its nextUpdate the authority's peers are rejected.
        case revocationList = "revocation list"
    }

    /// The kind of certificate or list.
    package let kind: Kind
    /// The common name, escaped: a certificate's subject or a list's issuer; `?` if there is none.
    package let name: String
    /// The source that it was read from: `trust roots (file /etc/…)`.
    package let source: String
    /// The start of the validity, in seconds since 1970 (UTC).
    package let notBefore: Int64
    /// The end of the validity, in seconds since 1970 (UTC).
    package let notAfter: Int64
    /// The edition of a revocation list; nil for a certificate.
    let list: RevocationListEdition?

    /// Creates an expiry from these values.
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

    /// The end of the validity as text: `2026-03-01T00:00:00Z`.
    package var end: String { Self.text(self.notAfter) }

    private static func text(_ seconds: Int64) -> String {
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        var text = [CChar](repeating: 0, count: 64)
        let length = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
        return String(decoding: text[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Returns one line with the end of the validity and the time left at this moment (in seconds since 1970).
    package func line(now: Int64) -> String {
        if self.isEarly(at: now) {
            return
                "\(self): NOT YET VALID, from \(Self.text(self.notBefore)) on, in \(Self.words(self.notBefore - now))"
        }
        let left = Self.words(self.notAfter - now)
        return
            "\(self): \(self.notAfter < now ? "EXPIRED \(self.end), \(left) ago" : "valid until \(self.end), \(left) left")"
    }

    /// Returns the same line without the time left. It stays the same as time passes, so that it is logged only once.
    func fact(now: Int64) -> String {
        if self.isEarly(at: now) { return "\(self): NOT YET VALID, from \(Self.text(self.notBefore)) on" }
        return "\(self): \(self.notAfter < now ? "EXPIRED" : "valid until") \(self.end)"
    }

    /// Whether the validity begins only after this moment, in seconds since 1970.
    package func isEarly(at now: Int64) -> Bool { self.notBefore > now }

    /// Whether it is valid at this moment, in seconds since 1970.
    func isValid(at now: Int64) -> Bool { self.notBefore <= now && now <= self.notAfter }

    /// The kind, the name and the source.
    package var description: String { "\(self.kind.rawValue) CN=\(self.name) of \(self.source)" }

    /// Returns a length of time without its sign, in the largest unit of which it has at least two, or in seconds.
    static func words(_ seconds: Int64) -> String {
        let seconds = abs(seconds)
        for (unit, length) in [("day", 86_400), ("hour", 3600), ("minute", 60)] as [(String, Int64)]
        where seconds >= 2 * length { return "\(seconds / length) \(unit)s" }
        return "\(seconds) s"
    }
}
