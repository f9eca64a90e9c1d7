import SecureFiles

/// The texts that a context is made of, and the revocation lists that they are checked by.
struct TLSMaterial: Sendable {
    /// What this side shows of itself.
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
    /// Their text is not kept.
    private(set) var revocationLists: RevocationLists?
    /// The same for the same texts, revocation lists aside.
    let identityFingerprint: [UInt8]

    var chain: PEMDocument { self.identity.chain }
    var key: PEMDocument { self.identity.key }
    /// The same for the same texts.
    var fingerprint: [UInt8] { self.identityFingerprint + (self.revocationLists?.digest ?? []) }

    /// Reads the files.
    ///
    /// Throws `.fileNotFound`, `.fileUnreadable`, `.fileExposed`; `.malformedPEM` or `.revocationListRefused` for the revocation
    /// lists.
    init(_ configuration: TLSConfiguration) throws(TLSError) {
        try self.init(TLSFiles(configuration))
    }

    /// Takes what was read, but for what is kept of another.
    ///
    /// Throws what the reading of a part has thrown that is not kept, and `.malformedPEM` or `.revocationListRefused`.
    init(_ files: TLSFiles, keeping kept: TLSFiles.Kept = .nothing, of other: TLSMaterial? = nil) throws(TLSError) {
        self.identity = if let other, kept != .nothing { other.identity } else { try files.identity.get() }
        self.roots = if let other, kept == .allButLists { other.roots } else { try files.roots.get() }
        // Verified by the authorities that they will be used with.
        if let lists = try files.lists.get() {
            self.revocationLists = try RevocationLists(lists, authorities: self.roots)
        }
        self.identityFingerprint =
            try self.identity.chain.digest() + self.identity.key.digest() + self.roots.digest()
    }

    /// The same with other lists.
    func with(revocationLists lists: RevocationLists) -> TLSMaterial {
        var material = self
        material.revocationLists = lists
        return material
    }
}
