// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import TLSChannel

/// The name of this guest, from the certificate in use.
final class GuestName: Sendable {
    private let current: NIOLockedValueBox<String?>

    /// - Parameter names: the guest's names in the certificate.
    init(_ names: [String]) { self.current = NIOLockedValueBox(names.first) }

    /// Returns whether another certificate names another guest, and adopts its first name if it is in use from now on.
    ///
    /// - Parameters:
    ///   - names: the guest's names in the other certificate.
    ///   - isInUse: whether the other certificate is in use from now on.
    func adopt(_ names: [String], isInUse: Bool) -> Bool {
        self.current.withLockedValue { current in
            defer { if isInUse { current = names.first ?? current } }
            guard let current, !names.isEmpty else { return false }
            return !names.contains(current)
        }
    }
}

extension PeerCertificate {
    /// The guest's names in the certificate. The first is the name by which conductors know the guest: its instance,
    /// independent of tenant and trust domain, so that a renewed certificate has the same first name.
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
