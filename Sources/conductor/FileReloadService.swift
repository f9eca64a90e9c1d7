// SPDX-License-Identifier: Apache-2.0

import ConductorService
import ServiceLifecycle
import UnixSignals

/// A service that keeps certificates and the keys of signed contexts up to date. It checks their files periodically,
/// and reloads them at once on SIGHUP.
final class FileReloadService: Service {
    private let files: ReloadedFiles
    private let systemd: SystemdService

    init(_ files: ReloadedFiles, systemd: SystemdService) {
        self.files = files
        self.systemd = systemd
    }

    func run() async throws {
        // Also cancels a reload that waits for a disk that hangs.
        await cancelWhenGracefulShutdown {
            await withTaskGroup { group in
                group.addTask { await self.files.run() }
                // The signal is trapped before the first one is awaited, so that none is missed.
                for await _ in await UnixSignalsSequence(trapping: .sighup) {
                    self.systemd.reloading()
                    await self.files.reload()
                    self.systemd.reloaded()
                }
                group.cancelAll()
            }
        }
    }
}
