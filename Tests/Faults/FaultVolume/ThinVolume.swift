// SPDX-License-Identifier: Apache-2.0

package import Foundation
import Glibc

/// A volume whose storage can run out below it, as that of a thinly provisioned disk.
///
/// What its filesystem then writes to the disk for the first time is gone: `fsync` fails, once, the system takes what it could not
/// write for written, and the next `fsync` succeeds.
///
/// What is mounted goes away with ``destroy()``, and also when this process ends in any other way: see ``VolumeKeeper``.
package final class ThinVolume: Sendable {
    /// The volume.
    package let volume: SpoolVolume
    private let storage: String
    private let keeper: VolumeKeeper
    /// Takes all of the storage that is left.
    private var filler: String { "\(self.storage)/filler" }

    /// Makes a volume on a filesystem in memory.
    ///
    /// - Parameter directory: an existing directory, which gets a new one that is removed with the volume.
    /// - Throws: ``VolumeError`` when this machine cannot mount.
    package static func make(in directory: URL) async throws -> ThinVolume {
        let storage = directory.appending(path: "storage-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: storage, withIntermediateDirectories: false)
        // It waits until the volume's own keeper has unmounted what lies in the storage.
        let keeper = try VolumeKeeper(home: storage.path, image: nil, mountPoint: storage.path)
        do {
            try await VolumeCommand.run("mount", "-t", "tmpfs", "-o", "size=48M", "none", storage.path)
            let volume = try await SpoolVolume.make(in: storage, megabytes: 32)
            do {
                let homes = try FileManager.default.contentsOfDirectory(at: storage, includingPropertiesForKeys: nil)
                try Self.limitWrites(below: storage.path)
                for home in homes {
                    // The filesystem's own blocks, its journal's too, get storage now. Those of files yet to come get none.
                    try await VolumeCommand.run("fallocate", "--length", "32M", home.appending(path: "image").path)
                }
                let thin = ThinVolume(volume, storage: storage.path, keeper)
                try await thin.giveBackFreeBlocks()
                return thin
            } catch {
                await volume.destroy()
                throw error
            }
        } catch {
            await keeper.cleanUp()
            throw error
        }
    }

    /// A loop device reports success for a write that its storage took a part of: it gets no more than a block at once.
    private static func limitWrites(below storage: String) throws {
        // The system names the file without links.
        let storage = URL(filePath: storage).resolvingSymlinksInPath().path + "/"
        var count = 0
        for device in try FileManager.default.contentsOfDirectory(atPath: "/sys/block") {
            let file = FileManager.default.contents(atPath: "/sys/block/\(device)/loop/backing_file")
            guard let file, String(decoding: file, as: UTF8.self).hasPrefix(storage) else { continue }
            try Data("4\n".utf8).write(to: URL(filePath: "/sys/block/\(device)/queue/max_sectors_kb"))
            count += 1
        }
        guard count == 1 else { throw VolumeError("\(count) loop devices lie below \(storage), and not one.") }
    }

    private init(_ volume: SpoolVolume, storage: String, _ keeper: VolumeKeeper) {
        self.volume = volume
        self.storage = storage
        self.keeper = keeper
    }

    /// Blocks of files that were removed have storage no longer. No file of the volume may be open.
    package func giveBackFreeBlocks() async throws {
        // The filesystem knows of all of them once it is mounted again.
        try await self.volume.remount()
        try await VolumeCommand.run("fstrim", self.volume.path)
    }

    /// From now on there is no storage for blocks that have none.
    package func exhaust() throws {
        let descriptor = open(self.filler, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw VolumeError("\(self.filler) cannot be made.") }
        defer { close(descriptor) }
        let zeros = [UInt8](repeating: 0, count: 1 << 16)
        for size in [1 << 16, 4096, 4096, 4096] { while write(descriptor, zeros, size) > 0 {} }
        guard errno == ENOSPC else { throw VolumeError("\(self.filler) cannot grow: \(errno)") }
    }

    /// There is storage again.
    package func replenish() throws { try FileManager.default.removeItem(atPath: self.filler) }

    /// Removes the volume and its storage, whatever was done before.
    package func destroy() async {
        await self.volume.destroy()
        await self.keeper.cleanUp()
    }

    /// Leaves that to the keepers, as the end of this process does.
    package func abandon() {
        self.keeper.abandon()
        self.volume.abandon()
    }
}
