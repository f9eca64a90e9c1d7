// SPDX-License-Identifier: Apache-2.0

import CertificateIssuing
import ConductorRPC
import ConductorService
import Foundation
import RelayTesting
import TLSChannel

/// Reads certificates as those of guests, as authorities and as revocation lists. The first byte says what the rest is:
///
/// - `0`: names that the entry puts into a certificate: for each a kind, a length and the bytes;
/// - `1`: a certificate in DER;
/// - `2`: PEM text, for a certificate and for a file of authorities;
/// - `3`: a revocation list in DER;
/// - `4`: PEM text of revocation lists.
enum FuzzedCertificates {
    static func problem(with bytes: [UInt8]) -> String? {
        var input = FuzzBytes(bytes)
        switch input.number(below: 6) {
        case 0: return self.names(&input)
        case 1:
            let der = input.remainder()
            return self.problem(ofCertificate: der) ?? self.authorities(self.pem("CERTIFICATE", der))
        case 2:
            let text = String(decoding: input.remainder(), as: UTF8.self)
            if let certificate = try? PeerCertificate(pem: text), let problem = self.problem(with: certificate) {
                return problem
            }
            return self.authorities(text)
        case 3:
            let der = input.remainder()
            return self.lists(self.pem("X509 CRL", der), isGenuine: self.holds(der, PinnedList.signedPart))
        default:
            let text = String(decoding: input.remainder(), as: UTF8.self)
            return self.lists(text, isGenuine: nil)
        }
    }

    private static let sources: [IdentitySource] = [.spiffe(.trial), .commonName]

    private static func pem(_ kind: String, _ der: [UInt8]) -> String {
        let lines = Data(der).base64EncodedString(options: [.lineLength64Characters, .endLineWithLineFeed])
        return "-----BEGIN \(kind)-----\n\(lines)\n-----END \(kind)-----\n"
    }

    // MARK: - Guests

    /// Checks that the identity from any names in a certificate follows the rules, which are implemented independently
    /// here.
    private static func names(_ input: inout FuzzBytes) -> String? {
        var commonNames: [(tag: UInt8, bytes: [UInt8])] = []
        var said: [[UInt8]] = []
        var alternativeNames: [(tag: UInt8, bytes: [UInt8])] = []
        while !input.isEmpty, commonNames.count + alternativeNames.count < 16 {
            let kind = input.byte()
            let piece = input.piece()
            // For lengths that a byte cannot express: four times the same bytes.
            let bytes = kind & 8 == 0 ? piece : piece + piece + piece + piece
            switch kind % 8 {
            case 0, 1: alternativeNames.append((0x86, bytes))
            case 2: alternativeNames.append((0x82, bytes))
            case 3: alternativeNames.append((0x81, bytes))
            // UTF8String, PrintableString, IA5String, BMPString
            case 4, 5, 6, 7:
                let isWide = kind % 8 == 7
                commonNames.append(
                    ([0x0C, 0x13, 0x16, 0x1E][Int(kind % 8) - 4], isWide ? bytes.flatMap { self.wide($0, 2) } : bytes))
                said.append(bytes)
            default: break
            }
        }
        let der = DER.certificate(commonNames: commonNames, alternativeNames: alternativeNames)
        if let problem = self.problem(ofCertificate: der) { return problem }
        guard let certificate = try? PeerCertificate(pem: self.pem("CERTIFICATE", der)) else { return nil }

        let uris = alternativeNames.filter { $0.tag == 0x86 }.map(\.bytes)
        let expected = GuestNames(uris: uris)
        let spiffe = try? GuestIdentity(certificate, source: .spiffe(.trial))
        guard spiffe?.instanceID == expected?.instance, spiffe?.tenantID == expected?.tenant else {
            return "the URIs name \(expected.debugDescription), and \(spiffe.debugDescription) was read"
        }
        let common = try? GuestIdentity(certificate, source: .commonName)
        // OpenSSL may interpret the characters of the other types in its own way; what it accepts must be in the
        // certificate.
        if commonNames.first?.tag == 0x0C || common != nil {
            let name = said.count == 1 ? GuestNames.name(said[0]) : nil
            guard common?.instanceID == name, common?.tenantID == nil else { return "the common name was misread" }
        }
        return nil
    }

    /// Checks that what was read from a certificate is in it.
    private static func problem(ofCertificate der: [UInt8]) -> String? {
        guard let certificate = try? PeerCertificate(pem: self.pem("CERTIFICATE", der)) else { return nil }
        if let problem = self.problem(with: certificate) { return problem }
        if let problem = self.problem(ofUsage: der) { return problem }
        for text in certificate.uris + certificate.dnsNames where !self.holds(der, Array(text.utf8)) {
            return "a name was read that is not there"
        }
        if let guest = try? GuestIdentity(certificate, source: .spiffe(.trial)) {
            let tenant = guest.tenantID.map { "/tenant/\($0)" } ?? ""
            let uri = "spiffe://conductor.test\(tenant)/instance/\(guest.instanceID)"
            guard self.holds(der, Array(uri.utf8)) else { return "the identity is not the certificate's URI" }
        }
        if let guest = try? GuestIdentity(certificate, source: .commonName) {
            let name = Array(guest.instanceID.utf8)
            guard [1, 2, 4].contains(where: { width in self.holds(der, name.flatMap { self.wide($0, width) }) }) else {
                return "the identity is not the certificate's common name"
            }
        }
        return nil
    }

    /// Checks that a certificate that is accepted for a guest or a conductor has the purpose in its extended key usage.
    private static func problem(ofUsage der: [UInt8]) -> String? {
        guard let usage = try? CertificateUsage(pem: self.pem("CERTIFICATE", der)) else {
            return "a certificate was read, and its usage was not"
        }
        // id-ce-extKeyUsage, and the common part of id-kp-serverAuth and id-kp-clientAuth.
        let (extensionOID, purposeOID): ([UInt8], [UInt8]) = (
            [0x06, 0x03, 0x55, 0x1D, 0x25], [0x06, 0x08, 0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03]
        )
        for (role, purpose) in [(TLSRole.server, UInt8(1)), (.client, 2)] {
            if let objection = usage.objection(as: role) {
                guard objection.utf8.count < 512, objection.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
                    return "an odd objection"
                }
            } else {
                guard self.holds(der, extensionOID), self.holds(der, purposeOID + [purpose]) else {
                    return "a purpose was read that is not there"
                }
                guard !usage.isAuthority else { return "an authority may stand for a peer" }
            }
        }
        return nil
    }

    private static func wide(_ byte: UInt8, _ width: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: width - 1) + [byte]
    }

    private static func problem(with certificate: PeerCertificate) -> String? {
        for source in self.sources {
            do {
                let guest = try GuestIdentity(certificate, source: source)
                let names = [guest.instanceID, guest.tenantID].compactMap(\.self)
                guard names.allSatisfy({ GuestNames.name(Array($0.utf8)) != nil }) else { return "a name is none" }
                guard source != .commonName || guest.tenantID == nil else { return "a common name names a tenant" }
            } catch {
                // The error is sent to an untrusted peer, and logged.
                guard error.description.utf8.count < 512, !error.description.isEmpty else { return "an odd error" }
            }
        }
        return certificate.sha256.utf8.count == 64 ? nil : "a digest is not 64 digits"
    }

    // MARK: - Authorities and lists

    private static let own = try? CertificateAuthority.create(commonName: "Fuzzed", validity: .days(1))
        .issueServer(commonName: "conductor", dnsNames: ["localhost"], validity: .days(1))

    private static func context(roots: String, lists: String?) throws -> TLSContext? {
        guard let own else { return nil }
        return try TLSContext(
            configuration: TLSConfiguration(
                role: .server, certificateChain: .pem(own.certificatePEM), privateKey: .pem(own.privateKeyPEM),
                trustRoots: .pem(roots), revocationLists: lists.map { .pem($0) },
                applicationProtocols: [RPCProtocol.applicationProtocol]))
    }

    private static func authorities(_ text: String) -> String? {
        do {
            guard let context = try self.context(roots: text, lists: nil) else { return "no context could be made" }
            return self.problem(with: context)
        } catch {
            return self.problem(in: "\(error)")
        }
    }

    /// - Parameter isGenuine: whether the authority has signed it; nil if that is unknown.
    private static func lists(_ text: String, isGenuine: Bool?) -> String? {
        do {
            guard let context = try self.context(roots: PinnedList.authority, lists: text) else {
                return "no context could be made"
            }
            return isGenuine == false
                ? "a list was taken that its authority has not signed" : self.problem(with: context)
        } catch {
            return self.problem(in: "\(error)")
        }
    }

    private static func problem(with context: TLSContext) -> String? {
        for expiry in context.expiries {
            // A list without a nextUpdate, which other programs write as "never".
            guard expiry.kind != .revocationList || expiry.notAfter < 253_402_300_799 else {
                return "a list has no end"
            }
            let line = expiry.line(now: 1_767_225_600)
            guard line.utf8.count < 2048, line.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
                return "a line of what expires could not be logged"
            }
        }
        return nil
    }

    private static func problem(in error: String) -> String? {
        error.isEmpty || error.utf8.count > 1 << 14 ? "an error is empty or too long" : nil
    }

    private static func holds(_ bytes: [UInt8], _ piece: [UInt8]) -> Bool {
        piece.isEmpty || bytes.firstRange(of: piece) != nil
    }
}
