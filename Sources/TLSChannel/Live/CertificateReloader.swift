// SPDX-License-Identifier: Apache-2.0

import FileReloading
import Glibc
package import Logging
import NIOConcurrencyHelpers
package import NIOPosix

/// A watcher of the files of a ``LiveTLSContext``: it loads what has changed, rejects what cannot be used, and logs
/// what expires.
package final class CertificateReloader: Sendable {
    private let reloader: FileReloader<CertificateReading>

    /// Creates a reloader, which does nothing before ``run()`` or ``reload()``.
    ///
    /// - Parameters:
    ///   - live: the context to keep up to date; the files are those of its current configuration.
    ///   - interval: the time between two checks of the files.
    ///   - gracePeriod: how long the files may be unusable, or not belong together, before that is logged.
    ///   - hangThreshold: how long a check of the files may take before that is logged: their disk may hang.
    ///   - threads: the threads that read the files; a pool that never stops.
    ///   - logger: the log for changes, rejected files, and what expires.
    package init(
        live: LiveTLSContext, interval: Duration, gracePeriod: Duration = .seconds(3),
        hangThreshold: Duration = .seconds(5),
        threads: NIOThreadPool = .singleton, logger: Logger
    ) {
        let configuration = live.current.configuration
        let paths = [
            configuration.certificateChain, configuration.privateKey, configuration.trustRoots,
            configuration.revocationLists,
        ].compactMap { source in
            if case .file(let path)? = source { path } else { nil }
        }
        let files = FileReloader<CertificateReading>.Files(paths: { paths }) {
            let reading = CertificateReading(replacing: live.current, now: Int64(time(nil)))
            return (reading.outcome, reading)
        }
        let handler = CertificateReloadHandler(live: live, paths: paths, logger: logger)
        self.reloader = FileReloader(
            interval: interval, gracePeriod: gracePeriod, hangThreshold: hangThreshold, threads: threads,
            files: { files },
            handle: { handler.handle($0) })
    }

    /// Checks the files until the task is cancelled. On cancellation it does not wait for a check that hangs.
    package func run() async { await self.reloader.run() }

    /// Reads the files now, whether they seem changed or not, and logs the result. If the files cannot be read in time,
    /// it logs that instead, and the files are read as soon as they can be.
    package func reload() async { await self.reloader.reload() }

    /// Whether the current check of the files has taken longer than `hangThreshold`. Meanwhile no revocation takes effect.
    package var isStuck: Bool { self.reloader.isStuck }
}
