// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// A small ext4 filesystem in an image file on a loop device, whose disk can be made to fail as disks do.
///
/// Needs root, loop devices, and the packages `e2fsprogs`, `mount`, `python3-minimal` and `util-linux`. What is mounted
/// goes away with ``destroy()``, and also when this process ends in any other way: see ``VolumeKeeper``.
///
/// A fault concerns this filesystem only. One at a time: the methods are for one task, in turn.
package final class SpoolVolume: Sendable {
    /// Where the filesystem is mounted.
    package let path: String
    private let device: String
    private let image: String
    private let keeper: VolumeKeeper

    /// Takes all free space.
    private var filler: String { "\(self.path)/.filler" }
    /// Who has an open file on a volume that is to be unmounted is being ended at that moment; this long it may take.
    private static let unmountPatience = Duration.seconds(30)

    /// Makes a filesystem and mounts it.
    ///
    /// - Parameters:
    ///   - directory: an existing directory, which gets a new one with the image and the mount point.
    ///   - megabytes: its size, at least 16; a journal takes 4 of them.
    /// - Throws: ``VolumeError`` when this machine cannot mount, in a sentence that says why.
    package static func make(in directory: URL, megabytes: Int = 64) async throws -> SpoolVolume {
        guard megabytes >= 16 else { throw VolumeError("A volume has at least 16 megabytes, not \(megabytes).") }
        let home = directory.appending(path: "volume-\(UUID().uuidString.prefix(8))")
        let mountPoint = home.appending(path: "mount")
        let image = home.appending(path: "image").path
        try FileManager.default.createDirectory(at: mountPoint, withIntermediateDirectories: true)
        let keeper = try VolumeKeeper(home: home.path, image: image, mountPoint: mountPoint.path)
        do {
            try await VolumeCommand.run("truncate", "--size", "\(megabytes)M", image)
            // Whole at once: what mkfs leaves for later would be written while a test looks at the disk. Nothing is kept
            // for root, who runs the tests and for whom the disk must be able to be full.
            try await VolumeCommand.run(
                "mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
            let device = try await VolumeCommand.run("losetup", "--find", "--show", image)
            let volume = SpoolVolume(device: device, image: image, path: mountPoint.path, keeper: keeper)
            try await volume.mount()
            return volume
        } catch {
            await keeper.cleanUp()
            throw VolumeError("A faulty disk cannot be made here; it takes root, loop devices and ext4. \(error)")
        }
    }

    private init(device: String, image: String, path: String, keeper: VolumeKeeper) {
        self.device = device
        self.image = image
        self.path = path
        self.keeper = keeper
    }

    /// The power goes: from now on everything on the filesystem fails (EIO), and what was not synced will be gone.
    ///
    /// Nothing is written any more, not even the journal's last transactions. End whoever uses the volume, then call
    /// ``remount()``.
    ///
    /// Where a power cut ends the process that says "it is on the disk" at the same moment, this leaves it alive, and
    /// `fsync` may tell it a lie: one that is on its way right then can return success, though its data is lost (a plain
    /// `fdatasync` did so in one cut of five, Linux 6.18). So count nothing that is said after this was called; or use
    /// ``powerCut(of:)``, which stops the processes first.
    package func cutPower() async throws { try await self.armPowerCut().cut() }

    /// Makes a power cut ready, for one that must come at a certain moment.
    package func armPowerCut() async throws -> ArmedPowerCut { try await ArmedPowerCut(path: self.path) }

    /// The power of a machine goes and comes back: the processes and what they had not synced are gone (SIGKILL).
    ///
    /// - Parameter processes: children of this process that have not been waited for; all that use the volume. They say
    ///   nothing any more from before the cut on.
    package func powerCut(of processes: [Int32]) async throws {
        let armed = try await self.armPowerCut()
        do {
            for process in processes { try await StoppedProcess.stop(process) }
            try await armed.cut()
        } catch {
            await armed.disarm()
            processes.forEach(StoppedProcess.kill)
            throw error
        }
        processes.forEach(StoppedProcess.kill)
        try await self.remount()
    }

    /// The power is back: unmounts as soon as nobody has an open file here, and mounts what the disk has.
    ///
    /// The kernel replays the filesystem's journal meanwhile. Also what follows ``makeReadOnly()``.
    ///
    /// - Throws: ``VolumeError`` when somebody has a file open for more than half a minute.
    package func remount() async throws {
        let deadline = ContinuousClock.now + Self.unmountPatience
        while true {
            do {
                try await VolumeCommand.run("umount", self.path)
                break
            } catch let error as VolumeError {
                guard .now < deadline else { throw error }
                // The kernel tells nobody when the last file is closed.
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        try await self.mount()
    }

    /// Takes all free space (ENOSPC). What a file already has can still be written over, such as a part of SQLite's WAL.
    package func fill() async throws {
        // What is only promised to delayed writes is settled first, or their blocks would come free afterwards.
        try await VolumeCommand.run("sync", "--file-system", self.path)
        try await VolumeFiller.fill(self.filler)
    }

    /// Gives the space back.
    package func free() throws { try FileManager.default.removeItem(atPath: self.filler) }

    /// Writes fail from now on (EROFS), also to files that are open, and reading goes on: what ext4 does by itself when
    /// its disk fails.
    ///
    /// A plain `mount -o remount,ro` is refused while a file is open for writing. As on a real failed disk there is no
    /// way back while it is mounted: end whoever uses the volume, then call ``remount()``.
    ///
    /// An `fsync` that is on its way right then can return success though its data will not be there after a new mount (a
    /// plain append and `fdatasync` did so in one of ten, Linux 6.18); real disks that fail do not tell such lies. So the
    /// processes stand still, with no system call under way, at that moment.
    ///
    /// - Parameter processes: as in ``powerCut(of:)``; they go on afterwards.
    package func makeReadOnly(before processes: [Int32] = []) async throws {
        defer { processes.forEach(StoppedProcess.goOn) }
        for process in processes { try await StoppedProcess.stop(process, isAmidSystemCall: false) }
        try await VolumeCommand.run("mount", "-o", "remount,abort", self.path)
    }

    /// Writes and syncs wait from now on, until ``thaw()``; reading goes on. A disk that hangs.
    package func freeze() async throws { try await VolumeCommand.run("fsfreeze", "--freeze", self.path) }

    /// What waits goes on.
    package func thaw() async throws { try await VolumeCommand.run("fsfreeze", "--unfreeze", self.path) }

    /// Thaws, unmounts, frees the loop device and removes the image, whatever was done before.
    ///
    /// Somebody who still has a file open here keeps the device until the file is closed.
    package func destroy() async { await self.keeper.cleanUp() }

    /// Leaves all that to the keeper, as the end of this process does.
    func abandon() { self.keeper.abandon() }

    private func mount() async throws {
        try await VolumeCommand.run(
            "mount", "-t", "ext4", "-o", "nosuid,nodev,errors=remount-ro", self.device, self.path)
    }
}
