// SPDX-License-Identifier: Apache-2.0

/// Writes parts of certificates (X.690): just enough to put any bytes into any name.
enum DER {
    static func value(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        let count = content.count
        let length: [UInt8] =
            switch count {
            case ..<0x80: [UInt8(count)]
            case ..<0x100: [0x81, UInt8(count)]
            default: [0x82, UInt8(count >> 8 & 0xFF), UInt8(count & 0xFF)]
            }
        return [tag] + length + content
    }

    static func sequence(_ parts: [UInt8]...) -> [UInt8] { self.value(0x30, Array(parts.joined())) }

    static func sequence(of parts: [[UInt8]]) -> [UInt8] { self.value(0x30, Array(parts.joined())) }

    /// Returns an X.509 certificate (RFC 5280, 4.1) with these names, the public key of RFC 8037's example and a false
    /// signature.
    ///
    /// - Parameters:
    ///   - commonNames: each with the tag of its string type.
    ///   - alternativeNames: each with the tag of its kind: 0x86 for a URI, 0x82 for a DNS name.
    static func certificate(
        commonNames: [(tag: UInt8, bytes: [UInt8])], alternativeNames: [(tag: UInt8, bytes: [UInt8])]
    ) -> [UInt8] {
        let algorithm = self.sequence([0x06, 0x03, 0x2B, 0x65, 0x70])
        let subject = self.sequence(
            of: commonNames.map { name in
                self.value(0x31, self.sequence([0x06, 0x03, 0x55, 0x04, 0x03], self.value(name.tag, name.bytes)))
            })
        let validity = self.sequence(
            self.value(0x17, Array("200101000000Z".utf8)), self.value(0x17, Array("491231235959Z".utf8)))
        let key = self.sequence(algorithm, self.value(0x03, [0] + self.publicKey))
        let names = self.sequence(of: alternativeNames.map { self.value($0.tag, $0.bytes) })
        let extensions = self.sequence(self.sequence([0x06, 0x03, 0x55, 0x1D, 0x11], self.value(0x04, names)))
        let body = self.sequence(
            [0xA0, 0x03, 0x02, 0x01, 0x02], [0x02, 0x01, 0x07], algorithm, self.sequence(), validity, subject, key,
            alternativeNames.isEmpty ? [] : self.value(0xA3, extensions))
        return self.sequence(body, algorithm, self.value(0x03, [UInt8](repeating: 0, count: 65)))
    }

    private static let publicKey: [UInt8] = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1,
        0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
    ]
}
