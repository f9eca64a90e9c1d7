// SPDX-License-Identifier: Apache-2.0

import ConductorService
import ServiceLifecycle
import TLSChannel
import UnixSignals

/// A service that keeps certificates and the keys of signed contexts up to date. It checks their files periodically,
/// and reloads them at once on SIGHUP.
final class CertificateReloadService: Service {
    private let reloader: CertificateReloader
    private let keys: SigningKeyReloader?
    private let systemd: SystemdService

    /// - Parameter keys: nil when signatures of contexts are not checked.
    init(_ reloader: CertificateReloader, keys: SigningKeyReloader?, systemd: SystemdService) {
        self.reloader = reloader
        self.keys = keys
        self.systemd = systemd
    }

    func run() async throws {
        // Also cancels a reload that waits for a disk that hangs.
        await cancelWhenGracefulShutdown {
            await withTaskGroup { group in
                group.addTask { await self.reloader.run() }
                group.addTask { await self.keys?.run() }
                // The signal is trapped before the first one is awaited, so that none is missed.
                for await _ in await UnixSignalsSequence(trapping: .sighup) {
                    self.systemd.reloading()
                    await self.reloader.reload()
                    await self.keys?.reload()
                    self.systemd.reloaded()
                }
                group.cancelAll()
            }
        }
    }
}
