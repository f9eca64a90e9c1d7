// SPDX-License-Identifier: Apache-2.0

import SecureFiles

/// The texts that a context is made from, and the revocation lists that its peers are checked against.
struct TLSMaterial: Sendable {
    /// The certificate chain and the private key that this side authenticates with.
    struct Identity: Sendable {
        let chain: PEMDocument
        let key: PEMDocument

        init(_ configuration: TLSConfiguration) throws(TLSError) {
            self.chain = try PEMDocument("certificate chain", configuration.certificateChain)
            self.key = try PEMDocument("private key", configuration.privateKey, rule: .secret)
        }
    }

    let identity: Identity
    let roots: PEMDocument
    /// The loaded revocation lists, without their text.
    private(set) var revocationLists: RevocationLists?
    /// A digest of the texts without the revocation lists.
    let identityFingerprint: [UInt8]

    var chain: PEMDocument { self.identity.chain }
    var key: PEMDocument { self.identity.key }
    /// A digest of the texts and the revocation lists.
    var fingerprint: [UInt8] { self.identityFingerprint + (self.revocationLists?.digest ?? []) }

    /// Reads the files.
    ///
    /// Throws `.fileNotFound`, `.fileUnreadable` or `.fileExposed` for a file. With revocation lists it also throws
    /// `.malformedPEM`, `.revocationListRefused`, or `.invalidConfiguration` for a trust root that is not an
    /// authority's.
    init(_ configuration: TLSConfiguration) throws(TLSError) {
        try self.init(TLSFiles(configuration))
    }

    /// Uses the files that were read, except for the parts that are kept from another material.
    ///
    /// Throws the error of reading a part that is not kept. With revocation lists it throws the same errors as above
    /// for them.
    init(_ files: TLSFiles, keeping kept: TLSFiles.RetainedParts = .nothing, of other: TLSMaterial? = nil)
        throws(TLSError)
    {
        self.identity = if let other, kept != .nothing { other.identity } else { try files.identity.get() }
        self.roots = if let other, kept == .identityAndRoots { other.roots } else { try files.roots.get() }
        // The lists are verified with the authorities that they will be used with.
        if let lists = try files.lists.get() {
            self.revocationLists = try RevocationLists(lists, authorities: self.roots)
        }
        self.identityFingerprint =
            try self.identity.chain.digest() + self.identity.key.digest() + self.roots.digest()
    }

    /// Returns this material with other revocation lists.
    func with(revocationLists lists: RevocationLists) -> TLSMaterial {
        var material = self
        material.revocationLists = lists
        return material
    }
}
