// SPDX-License-Identifier: Apache-2.0

import ConductorService
import LogTesting
import Notifier
import RelayTesting
import TLSChannel

/// A conductor whose certificate files are checked while it runs.
struct LiveConductor {
    let running: RunningConductor
    let log: LogRecorder
    let reloader: CertificateReloader

    /// - Parameter list: the name of the file with the revocation lists.
    static func with<Result>(
        _ notifier: Notifier, certificates: TestCertificates, list: String? = nil,
        interval: Duration = .milliseconds(20), gracePeriod: Duration = .seconds(3),
        _ body: (LiveConductor) async throws -> Result
    ) async throws -> Result {
        let tls = LiveTLSContext(try certificates.server(list: list))
        let log = LogRecorder()
        let reloader = CertificateReloader(live: tls, interval: interval, gracePeriod: gracePeriod, logger: log.logger)
        return try await withConductor(notifier, certificates: certificates, tls: tls) { running in
            async let _: Void = reloader.run()
            // The first check reads the files once.
            await log.next("In use: certificate")
            return try await body(LiveConductor(running: running, log: log, reloader: reloader))
        }
    }

    /// Whether a guest with this certificate is answered.
    func answers(_ certificate: String = "guest") async -> Bool {
        do {
            return try await RawGuest.with(self.running, certificate: certificate) { guest in
                try await guest.call(Self.ping).contains(#""result""#)
            }
        } catch {
            return false
        }
    }

    static let ping = #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#
    static let inUse = "Reloaded certificates for new connections"
    static let inPart = "Reloaded authorities or revocation lists"
    static let refused = "Failed to load the certificate files"
}
