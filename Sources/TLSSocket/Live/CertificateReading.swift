/// What the files of a context hold now, and how much of it can take the context's place.
struct CertificateReading {
    /// How the whole set fares.
    let outcome: ReloadStateMachine.Outcome
    /// What to use from now on; nil to go on as before. It is made of a part of the files where the whole cannot be used.
    let context: TLSContext?
    /// Whether what peers are checked by is that of the files, although something else of them cannot be used.
    let isTrustCurrent: Bool

    /// Reads the files, which may block.
    ///
    /// - Parameters:
    ///   - present: the context that is in use.
    ///   - now: the present, in seconds since 1970.
    init(replacing present: TLSContext, now: Int64) {
        let files = TLSFiles(present.configuration)
        var refusal: TLSContext.Objection?
        for kept in TLSFiles.Kept.allCases {
            do {
                let material = try TLSMaterial(files, keeping: kept, of: present.material)
                var context: TLSContext?
                if material.fingerprint != present.material.fingerprint {
                    let fresh = try present.replaced(by: material)
                    try fresh.checkReplacement(of: present, now: now)
                    context = fresh
                }
                self.outcome = refusal.map(Self.bad) ?? (context == nil ? .same : .new)
                self.context = context
                self.isTrustCurrent = true
                return
            } catch let objection as TLSContext.Objection {
                refusal = refusal ?? objection
            } catch {
                refusal = refusal ?? TLSContext.Objection(reason: (error as? TLSError)?.message ?? "\(error)")
            }
        }
        self.outcome = refusal.map(Self.bad) ?? .same
        self.context = nil
        self.isTrustCurrent = false
    }

    private static func bad(_ objection: TLSContext.Objection) -> ReloadStateMachine.Outcome {
        .bad(objection.reason, remaining: objection.remaining.map { .seconds($0) })
    }
}
