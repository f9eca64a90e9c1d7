// SPDX-License-Identifier: Apache-2.0

import ConductorService
import Notifications
import TLSChannel

/// Reads rules, one a line, after the guest for which they are evaluated: `TENANT/ID` on the first line. The verdicts
/// must match an independent implementation of Docs/operations.md, which is here.
enum FuzzedPermissions {
    static func problem(with bytes: [UInt8]) -> String? {
        var input = FuzzBytes(bytes)
        guard let guest = self.guest(String(decoding: input.line(), as: UTF8.self)) else { return nil }
        var rules: [String] = []
        while !input.isEmpty { rules.append(String(decoding: input.line(), as: UTF8.self)) }
        let permissions: GuestPermissions
        do {
            permissions = try GuestPermissions(rules, catalogues: .builtIn)
        } catch {
            let words = error.description
            return words.utf8.count > 1024 || words.isEmpty ? "an error is empty or too long" : nil
        }
        for (service, operation) in self.operations {
            guard let known = Catalogues.builtIn.operation("\(service).\(operation)") else { continue }
            let isAllowed = permissions.allows(guest, known)
            guard isAllowed == self.allows(rules, guest, service, operation) else {
                return "\(operation) is \(isAllowed ? "allowed" : "refused") against the rules"
            }
        }
        return nil
    }

    private static let operations: [(service: String, key: String)] = Catalogues.builtIn.catalogues.flatMap {
        catalogue in
        catalogue.operations.map { (catalogue.service, $0.key) }
    }

    private static func guest(_ name: String) -> GuestIdentity? {
        let parts = name.utf8.split(separator: UInt8(ascii: "/")).map { String(decoding: $0, as: UTF8.self) }
        guard let instance = parts.last, parts.count <= 2 else { return nil }
        let path = (parts.count == 2 ? "/tenant/\(parts[0])" : "") + "/instance/\(instance)"
        let certificate = PeerCertificate(
            commonName: nil, uris: ["spiffe://conductor.test\(path)"], dnsNames: [], serialNumber: "01", notBefore: 0,
            notAfter: .max, sha256: "")
        return try? GuestIdentity(certificate, source: .spiffe(.trial))
    }

    private static func allows(_ rules: [String], _ guest: GuestIdentity, _ service: String, _ operation: String)
        -> Bool
    {
        guard !rules.isEmpty else { return true }
        return rules.contains { rule in
            let bytes = Array(rule.utf8)
            let sides = bytes.split(separator: UInt8(ascii: "="), omittingEmptySubsequences: false)
            guard sides.count == 2 else { return false }
            let names = sides[0].split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            let isTenants =
                names.count == 1 || names.count == 2 && guest.tenantID.map { self.fits(names[0], $0) } ?? false
            guard isTenants, let instance = names.last, self.fits(instance, guest.instanceID) else { return false }
            // The dot decides which of the two names is meant.
            if sides[1].elementsEqual("*".utf8) { return true }
            return sides[1].contains(UInt8(ascii: "."))
                ? self.fits(sides[1], "\(service).\(operation)") : service == "dbaas" && self.fits(sides[1], operation)
        }
    }

    private static func fits(_ pattern: ArraySlice<UInt8>, _ name: String) -> Bool {
        if pattern.last == UInt8(ascii: "*") { return name.utf8.starts(with: pattern.dropLast()) }
        return name.utf8.elementsEqual(pattern)
    }
}
