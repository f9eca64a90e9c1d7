/// The files of a configuration, each read once; what is wrong with one does not hide the others.
struct TLSFiles: Sendable {
    /// What goes on to be used though files are read anew, because what they hold now cannot be.
    ///
    /// Whom to believe does not wait for what this side shows of itself: a key that nobody may use must not keep those in who
    /// were revoked.
    enum Kept: CaseIterable {
        case nothing
        /// Certificate chain and key.
        case identity
        /// The trust roots as well.
        case allButLists
    }

    let identity: Result<TLSMaterial.Identity, TLSError>
    let roots: Result<PEMDocument, TLSError>
    let lists: Result<PEMDocument?, TLSError>

    init(_ configuration: TLSConfiguration) {
        self.identity = Result { () throws(TLSError) in try TLSMaterial.Identity(configuration) }
        self.roots = Result { () throws(TLSError) in try PEMDocument("trust roots", configuration.trustRoots) }
        self.lists = Result { () throws(TLSError) in
            guard let source = configuration.revocationLists else { return nil }
            // Each is signed, and one older than that in use is refused. A wrong mode must not hold up what is revoked.
            return try PEMDocument("revocation lists", source, rule: nil)
        }
    }
}
