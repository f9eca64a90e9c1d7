// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import HostNames
import TLSChannel

/// A checked entry of a subject alternative name, as the octets that go into the certificate.
struct AlternativeName: Sendable, Hashable {
    /// GEN_DNS, GEN_URI or GEN_IPADD.
    let type: Int32
    let octets: [UInt8]

    static func dns(_ name: String) throws(TLSError) -> AlternativeName {
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let isSound = labels.enumerated().allSatisfy { index, label in
            if index == 0, labels.count > 1, label.elementsEqual("*".utf8) { return true }
            return (1...63).contains(label.count) && label.first != UInt8(ascii: "-")
                && label.last != UInt8(ascii: "-") && label.allSatisfy(Self.isNameByte)
        }
        guard isSound, name.utf8.count <= 253 else { throw self.invalid("DNS name", name) }
        return AlternativeName(type: GEN_DNS, octets: Array(name.utf8))
    }

    static func ip(_ address: String) throws(TLSError) -> AlternativeName {
        let host = HostName(address)
        guard let octets = host.ipv4Octets ?? host.ipv6Octets else { throw self.invalid("IP address", address) }
        return AlternativeName(type: GEN_IPADD, octets: octets)
    }

    static func uri(_ uri: String) throws(TLSError) -> AlternativeName {
        let bytes = Array(uri.utf8)
        let scheme = bytes.prefix { $0 != UInt8(ascii: ":") }
        let isSound =
            bytes.count <= 2048 && scheme.count + 1 < bytes.count && scheme.first.map(Self.isLetter) == true
            && scheme.allSatisfy { Self.isNameByte($0) || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: ".") }
            && bytes.allSatisfy { (0x21...0x7e).contains($0) }
        guard isSound else { throw self.invalid("URI", uri) }
        return AlternativeName(type: GEN_URI, octets: bytes)
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        self.isLetter(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
            || byte == UInt8(ascii: "_")
    }

    private static func invalid(_ what: String, _ value: String) -> TLSError {
        let shown = value.unicodeScalars.prefix(80).map { $0.escaped(asASCII: true) }.joined()
        return TLSError(.certificateNotIssued, "\"\(shown)\" is not a \(what) that a certificate can hold")
    }
}
