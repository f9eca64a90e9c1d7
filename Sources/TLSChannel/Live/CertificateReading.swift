// SPDX-License-Identifier: Apache-2.0

import FileReloading

/// The current content of a context's files, and the part of it that can replace the context.
struct CertificateReading: Sendable {
    /// The result for the files as a whole.
    let outcome: ReloadStateMachine.Outcome
    /// The context to use from now on; nil to keep the present one. If the files as a whole cannot be used, it is made
    /// from a part of them.
    let context: TLSContext?
    /// The part of the present context that does not follow the files, because the files cannot replace it; nil if
    /// nothing of the files can be used.
    let kept: TLSFiles.RetainedParts?

    /// Reads the files, which may block.
    ///
    /// - Parameters:
    ///   - present: the context that is in use.
    ///   - now: the current time, in seconds since 1970.
    init(replacing present: TLSContext, now: Int64) {
        let files = TLSFiles(present.configuration)
        var rejection: TLSContext.Objection?
        for kept in TLSFiles.RetainedParts.allCases {
            do {
                let material = try TLSMaterial(files, keeping: kept, of: present.material)
                var context: TLSContext?
                if material.fingerprint != present.material.fingerprint {
                    let fresh = try present.replaced(by: material)
                    try fresh.checkReplacement(of: present, now: now)
                    context = fresh
                }
                self.outcome = rejection.map(Self.unusable) ?? (context == nil ? .same : .new)
                self.context = context
                self.kept = kept
                return
            } catch let objection as TLSContext.Objection {
                rejection = rejection ?? objection
            } catch {
                rejection = rejection ?? TLSContext.Objection(reason: (error as? TLSError)?.message ?? "\(error)")
            }
        }
        self.outcome = rejection.map(Self.unusable) ?? .same
        self.context = nil
        self.kept = nil
    }

    private static func unusable(_ objection: TLSContext.Objection) -> ReloadStateMachine.Outcome {
        .unusable(objection.reason, remaining: objection.remaining.map { .seconds($0) })
    }
}
