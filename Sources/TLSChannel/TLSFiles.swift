// SPDX-License-Identifier: Apache-2.0

/// The files of a configuration, each read once. An error in one file does not hide the others.
struct TLSFiles: Sendable {
    /// The parts of the present context that are kept on a reload, because the new content of their files cannot be
    /// used.
    ///
    /// A change of trust does not wait for this side's own certificate: an unusable key must not delay a revocation.
    enum RetainedParts: CaseIterable {
        case nothing
        /// The certificate chain and the key.
        case identity
        /// The certificate chain, the key and the trust roots.
        case identityAndRoots
    }

    let identity: Result<TLSMaterial.Identity, TLSError>
    let roots: Result<PEMDocument, TLSError>
    let lists: Result<PEMDocument?, TLSError>

    init(_ configuration: TLSConfiguration) {
        self.identity = Result { () throws(TLSError) in try TLSMaterial.Identity(configuration) }
        self.roots = Result { () throws(TLSError) in try PEMDocument("trust roots", configuration.trustRoots) }
        self.lists = Result { () throws(TLSError) in
            guard let source = configuration.revocationLists else { return nil }
            // No file rule applies: each list is signed, and a list older than the one in use is rejected. A wrong file
            // mode must not delay a revocation.
            return try PEMDocument("revocation lists", source, rule: nil)
        }
    }
}
