import ConductorService
import ServiceLifecycle
import TLSSocket
import UnixSignals

/// Keeps certificates and the keys of signed contexts up to date: looks at their files, and reads them at once when SIGHUP
/// asks for it.
final class CertificateService: Service {
    private let reloader: CertificateReloader
    private let keys: SigningKeyReloader?
    private let systemd: SystemdService

    /// - Parameter keys: nil where contexts' signatures are not looked at.
    init(_ reloader: CertificateReloader, keys: SigningKeyReloader?, systemd: SystemdService) {
        self.reloader = reloader
        self.keys = keys
        self.systemd = systemd
    }

    func run() async throws {
        // Also what waits for a disk that hangs.
        await cancelWhenGracefulShutdown {
            await withTaskGroup { group in
                group.addTask { await self.reloader.run() }
                group.addTask { await self.keys?.run() }
                // Trapped before the first is awaited, so that none is missed.
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
