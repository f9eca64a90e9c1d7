import TLSSocket

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
