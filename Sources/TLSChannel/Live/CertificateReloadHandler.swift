// SPDX-License-Identifier: Apache-2.0

import FileReloading
import Glibc
import Logging
import NIOConcurrencyHelpers

/// A user of the certificate files that a ``CertificateReloader`` has read: it replaces the context of a
/// ``LiveTLSContext``, and logs.
struct CertificateReloadHandler: Sendable {
    private let live: LiveTLSContext
    private let paths: [String]
    private let logger: Logger
    private let expiry = NIOLockedValueBox(ExpiryStateMachine())

    init(live: LiveTLSContext, paths: [String], logger: Logger) {
        self.live = live
        self.paths = paths
        self.logger = logger
    }

    /// Handles a step of the reloader.
    func handle(_ event: FileReloader<CertificateReading>.Event) {
        switch event {
        case .began: self.logExpiries(self.live.current.expiries)
        case .read(let reading): self.use(reading)
        case .checked:
            let warnings = self.expiry.withLockedValue {
                $0.dueWarnings(self.live.current.expiries, now: Int64(time(nil)))
            }
            for warning in warnings { self.log(warning) }
        case .unresponsive(let elapsed):
            self.logger.error(
                "The certificate files cannot be read: their file system does not respond; renewals and revocations take no effect until it does",
                metadata: [
                    "seconds": "\(elapsed.components.seconds)", "files": "\(self.paths.joined(separator: " "))",
                ])
        case .responsive: self.logger.notice("The file system of the certificate files responds again")
        }
    }

    private func use(_ reading: FileReloader<CertificateReading>.Reading) {
        let (context, kept) = (reading.value.context, reading.value.kept)
        // Connections of revoked peers close at once, even while the new key cannot be used yet.
        if case .unusable = reading.outcome, let context, !reading.changedDuringReading {
            self.use(context, isWhole: false)
        }
        switch (reading.verdict, context) {
        case (.nothing, _), (.use, nil): break
        case (.use, let context?): self.use(context, isWhole: true)
        case (.logUnchanged(let wasUnusable), _):
            self.live.recovered()
            self.logger.info(
                wasUnusable
                    ? "The certificate files are usable again; they hold what is in use"
                    : "Reread the certificate files; they hold what is in use already")
        case (.reject(let reason), _):
            self.live.recordRejection(reason)
            let effect =
                switch context == nil || !reading.changedDuringReading ? kept : nil {
                case .nothing?, .identity?:
                    "the previous certificate and key stay in use, authorities and revocation lists are up to date"
                case .identityAndRoots?:
                    "the certificate, key and authorities that were read before stay in use, revocation lists are up to date"
                case nil: "the previous ones stay in use, and later revocations are unknown"
                }
            self.logger.error(
                "Failed to load the certificate files; \(effect)",
                metadata: ["reason": "\(reason)", "files": "\(self.paths.joined(separator: " "))"])
        }
    }

    private func use(_ context: TLSContext, isWhole: Bool) {
        let cut = self.live.replace(with: context, isWhole: isWhole)
        self.logger.info(
            isWhole
                ? "Reloaded certificates for new connections"
                : "Reloaded authorities or revocation lists; kept the previous certificate",
            metadata: [
                "revoked": "\(context.revocationLists?.count ?? 0)", "connections_cut": "\(cut.all)",
            ])
        if cut.revoked > 0 {
            self.logger.warning(
                "Closed connections: their peers' certificates are revoked",
                metadata: ["connections": "\(cut.revoked)"])
        }
        if cut.untrusted > 0 {
            self.logger.warning(
                "Closed connections: no trusted authority has issued their peers' certificates",
                metadata: ["connections": "\(cut.untrusted)"])
        }
        self.logExpiries(context.expiries)
    }

    private func logExpiries(_ expiries: [TLSExpiry]) {
        let now = Int64(time(nil))
        for expiry in expiries {
            self.logger.info("In use: \(expiry.line(now: now))")
        }
    }

    private func log(_ warning: ExpiryStateMachine.Warning) {
        let what =
            warning.expiry.kind == .certificate || warning.expiry.kind == .intermediate
            ? "peers reject this side" : "peers of this authority are rejected"
        let line = warning.expiry.line(now: warning.expiry.notAfter - warning.remaining)
        if warning.isEarly {
            self.logger.warning("Not valid yet; \(what) until it is; check this machine's clock: \(line)")
        } else if warning.isExpired {
            self.logger.error("Expired; \(what) until it is renewed: \(line)")
        } else {
            self.logger.warning("Expires soon; after its end \(what): \(line)")
        }
    }
}
