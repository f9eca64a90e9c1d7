// SPDX-License-Identifier: Apache-2.0

package import ContextSigning
import FileReloading
package import Logging
import NIOConcurrencyHelpers
package import NIOPosix

/// A reloader of the keys that contexts are signed with. It watches their files, loads changes, and rejects files that
/// cannot be used. Connections are not affected.
package final class SigningKeyReloader: Sendable {
    private let handler: SigningKeyReloadHandler
    private let list: @Sendable () async throws -> SigningKeyFiles
    /// The files that the configuration named at the last ``reload()``.
    private let files: NIOLockedValueBox<SigningKeyFiles>
    private let reloader: FileReloader<SigningKeySet?>

    /// - Parameters:
    ///   - live: the keys that are kept up to date.
    ///   - files: the files that `live` was read from.
    ///   - interval: the time between two checks of the files.
    ///   - gracePeriod: the time for which the files may be unusable before this is logged.
    ///   - hangThreshold: the time that a check of the files may take before it is logged as slow: their disk may hang.
    ///   - threads: the pool on which files are read; it must never stop.
    ///   - logger: logs the names of added and removed keys, and rejected files.
    ///   - list: returns the files that the configuration names now; called by ``reload()`` only.
    ///   - read: reads the files, and may block. Its errors must contain no part of a key.
    package init(
        live: LiveSigningKeys, files: SigningKeyFiles, interval: Duration, gracePeriod: Duration = .seconds(3),
        hangThreshold: Duration = .seconds(5), threads: NIOThreadPool = .singleton, logger: Logger,
        list: @escaping @Sendable () async throws -> SigningKeyFiles,
        read: @escaping @Sendable (SigningKeyFiles) throws -> SigningKeySet
    ) {
        let handler = SigningKeyReloadHandler(live: live, logger: logger)
        let box = NIOLockedValueBox(files)
        self.handler = handler
        self.list = list
        self.files = box
        self.reloader = FileReloader(
            interval: interval, gracePeriod: gracePeriod, hangThreshold: hangThreshold, threads: threads,
            files: {
                let files = box.withLockedValue { $0 }
                return .init(paths: { files.paths }) {
                    do {
                        let keys = try read(files)
                        return (keys.changes(from: live.current).isEmpty ? .same : .new, keys)
                    } catch {
                        return (.unusable("\(error)"), nil)
                    }
                }
            },
            handle: { handler.handle($0) })
    }

    /// Checks the files until the task is cancelled. After that it does not wait for a check that hangs.
    package func run() async { await self.reloader.run() }

    /// Reads the list of files from the configuration, and then the files, whether they seem changed or not. Logs the
    /// result. If the files cannot be read in time, logs that instead, and the files are read as soon as possible.
    package func reload() async {
        do {
            let files = try await self.list()
            // Also if they cannot be read yet: the operator wants these files.
            self.files.withLockedValue { $0 = files }
        } catch {
            self.handler.reject("\(error)", [])
            return
        }
        await self.reloader.reload()
    }

    /// Whether the current check of the files has taken longer than `hangThreshold`. Meanwhile no key is removed.
    package var isStuck: Bool { self.reloader.isStuck }
}

/// A user of the signing-key files that a ``SigningKeyReloader`` has read: it replaces the keys in use, and logs.
private struct SigningKeyReloadHandler: Sendable {
    let live: LiveSigningKeys
    let logger: Logger

    func handle(_ event: FileReloader<SigningKeySet?>.Event) {
        switch event {
        case .began, .checked: break
        case .read(let reading): self.use(reading)
        case .unresponsive(let elapsed):
            self.logger.error(
                """
                Failed to check the signing keys of contexts in time: their file system does not respond. No key \
                changes until it does
                """, metadata: ["seconds": "\(elapsed.components.seconds)"])
        case .responsive: self.logger.notice("The file system of the signing keys of contexts responds again")
        }
    }

    func reject(_ reason: String, _ paths: [String]) {
        self.logger.error(
            "Failed to load the signing keys of contexts; the previous keys stay in use",
            metadata: ["reason": "\(reason)", "files": "\(paths.joined(separator: " "))"])
    }

    private func use(_ reading: FileReloader<SigningKeySet?>.Reading) {
        switch (reading.verdict, reading.value) {
        case (.nothing, _), (.use, nil): break
        case (.use, let keys?): self.use(keys)
        case (.logUnchanged(let wasUnusable), _):
            self.logger.info(
                wasUnusable
                    ? "The signing keys of contexts are usable again, and unchanged"
                    : "Read the signing keys of contexts again; they are unchanged")
        case (.reject(let reason), _): self.reject(reason, reading.paths)
        }
    }

    private func use(_ keys: SigningKeySet) {
        let changes = keys.changes(from: self.live.current)
        self.live.replace(with: keys)
        func names(_ kids: [String]) -> Logger.MetadataValue { "\(kids.joined(separator: " "))" }
        self.logger.info(
            "Reloaded the signing keys of contexts",
            metadata: [
                "added": names(changes.added), "removed": names(changes.removed),
                "replaced": names(changes.replaced), "in_use": names(keys.keys.map(\.kid)),
            ])
    }
}
