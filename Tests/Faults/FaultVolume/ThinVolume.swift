// SPDX-License-Identifier: Apache-2.0

package import Foundation
import Glibc

/// A volume whose underlying storage can run out, like that of a thinly provisioned disk.
///
/// Blocks that its filesystem then writes to the disk for the first time are lost: `fsync` fails once, the system
/// treats the data that it could not write as written, and the next `fsync` succeeds.
///
/// The mounts are removed by ``destroy()``, and also when this process ends in any other way: see ``VolumeKeeper``.
package final class ThinVolume: Sendable {
    /// The volume.
    package let volume: SpoolVolume
    private let storage: String
    private let keeper: VolumeKeeper
    /// The file that takes all of the storage that is left.
    private var filler: String { "\(self.storage)/filler" }

    /// Creates a volume on a filesystem in memory.
    ///
    /// - Parameter directory: an existing directory, in which a new one is created, which is removed with the volume.
    /// - Throws: ``VolumeError`` if this machine cannot mount.
    package static func make(in directory: URL) async throws -> ThinVolume {
        let storage = directory.appending(path: "storage-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: storage, withIntermediateDirectories: false)
        // This keeper waits until the volume's own keeper has unmounted the filesystem in the storage.
        let keeper = try VolumeKeeper(home: storage.path, image: nil, mountPoint: storage.path)
        do {
            try await VolumeCommand.run("mount", "-t", "tmpfs", "-o", "size=48M", "none", storage.path)
            let volume = try await SpoolVolume.make(in: storage, megabytes: 32)
            do {
                let homes = try FileManager.default.contentsOfDirectory(at: storage, includingPropertiesForKeys: nil)
                try Self.limitWrites(below: storage.path)
                for home in homes {
                    // The blocks of the filesystem and its journal get storage now; those of future files get none.
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

    /// Limits writes to one block: a loop device reports success for a write of which its storage took only a part.
    private static func limitWrites(below storage: String) throws {
        // The system names the file without symbolic links.
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

    /// Takes the storage from the blocks of removed files. No file of the volume may be open.
    package func giveBackFreeBlocks() async throws {
        // The filesystem knows all of these blocks once it is mounted again.
        try await self.volume.remount()
        try await VolumeCommand.run("fstrim", self.volume.path)
    }

    /// Takes all storage: from now on, blocks without storage get none.
    package func exhaust() throws {
        let descriptor = open(self.filler, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw VolumeError("\(self.filler) cannot be made.") }
        defer { close(descriptor) }
        let zeros = [UInt8](repeating: 0, count: 1 << 16)
        for size in [1 << 16, 4096, 4096, 4096] { while write(descriptor, zeros, size) > 0 {} }
        guard errno == ENOSPC else { throw VolumeError("\(self.filler) cannot grow: \(errno)") }
    }

    /// Makes storage available again.
    package func replenish() throws { try FileManager.default.removeItem(atPath: self.filler) }

    /// Removes the volume and its storage, whatever was done before.
    package func destroy() async {
        await self.volume.destroy()
        await self.keeper.cleanUp()
    }

    /// Leaves the cleanup to the keepers, like the end of this process.
    package func abandon() {
        self.keeper.abandon()
        self.volume.abandon()
    }
}
