import NIOConcurrencyHelpers
import TLSSocket

/// The name of this guest, by the certificate that is in use.
final class GuestName: Sendable {
    private let current: NIOLockedValueBox<String?>

    /// - Parameter names: what the certificate calls the guest.
    init(_ names: [String]) { self.current = NIOLockedValueBox(names.first) }

    /// Whether another certificate is another guest's.
    ///
    /// - Parameters:
    ///   - names: what the other certificate calls its guest.
    ///   - isInUse: whether the other one is in use from now on.
    func isOther(_ names: [String], isInUse: Bool) -> Bool {
        self.current.withLockedValue { current in
            defer { if isInUse { current = names.first ?? current } }
            guard let current, !names.isEmpty else { return false }
            return !names.contains(current)
        }
    }
}

extension PeerCertificate {
    /// What the certificate calls the guest, first the name that conductors know it by: its instance, whatever the tenant or the
    /// trust domain, so that a renewed certificate has the same.
    var guestNames: [String] {
        var names: [String] = []
        for uri in self.uris {
            let parts = uri.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 5 || parts.count == 7, parts[0].lowercased() == "spiffe:",
                parts[parts.count - 2] == "instance", let instance = parts.last, !instance.isEmpty
            else { continue }
            names.append(String(instance))
        }
        names += self.uris
        if let commonName { names.append(commonName) }
        return names + self.dnsNames
    }
}
