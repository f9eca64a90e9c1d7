// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// A small ext4 filesystem in an image file on a loop device, whose disk can be made to fail like a real one.
///
/// Needs root, loop devices, and the packages `e2fsprogs`, `mount`, `python3-minimal` and `util-linux`. The mount is
/// removed by ``destroy()``, and also when this process ends in any other way: see ``VolumeKeeper``.
///
/// A fault affects this filesystem only. The methods are for one task, one call after another.
package final class SpoolVolume: Sendable {
    /// The path at which the filesystem is mounted.
    package let path: String
    private let device: String
    private let image: String
    private let keeper: VolumeKeeper

    /// The file that takes all free space.
    private var filler: String { "\(self.path)/.filler" }
    /// The time to wait for processes that are being ended and still have a file open on a volume to unmount.
    private static let unmountPatience = Duration.seconds(30)

    /// Creates a filesystem and mounts it.
    ///
    /// - Parameters:
    ///   - directory: an existing directory, in which a new one with the image and the mount point is created.
    ///   - megabytes: its size, at least 16; a journal takes 4 of them.
    /// - Throws: ``VolumeError`` if this machine cannot mount, with a sentence that explains why.
    package static func make(in directory: URL, megabytes: Int = 64) async throws -> SpoolVolume {
        guard megabytes >= 16 else { throw VolumeError("A volume has at least 16 megabytes, not \(megabytes).") }
        let home = directory.appending(path: "volume-\(UUID().uuidString.prefix(8))")
        let mountPoint = home.appending(path: "mount")
        let image = home.appending(path: "image").path
        try FileManager.default.createDirectory(at: mountPoint, withIntermediateDirectories: true)
        let keeper = try VolumeKeeper(home: home.path, image: image, mountPoint: mountPoint.path)
        do {
            try await VolumeCommand.run("truncate", "--size", "\(megabytes)M", image)
            // Initialized as a whole: what mkfs defers would be written while a test examines the disk. No blocks are
            // reserved for root, which runs the tests and for which the disk must be able to be full.
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

    /// Cuts the power: from now on everything on the filesystem fails (EIO), and what was not synced will be lost.
    ///
    /// Nothing more is written, not even the journal's last transactions. End the processes that use the volume, then
    /// call ``remount()``.
    ///
    /// A real power cut also ends the process that reports "it is on the disk". This one leaves it alive, and an
    /// `fsync` in progress at that moment can return success although its data is lost (a plain `fdatasync` did so in
    /// one cut of five, Linux 6.18). So ignore all reports after this call, or use ``powerCut(of:)``, which stops the
    /// processes first.
    package func cutPower() async throws { try await self.armPowerCut().cut() }

    /// Prepares a power cut that must come at a certain moment.
    package func armPowerCut() async throws -> ArmedPowerCut { try await ArmedPowerCut(path: self.path) }

    /// Cuts the power of a machine and restores it: the processes (SIGKILL) and what they had not synced are gone.
    ///
    /// - Parameter processes: all processes that use the volume, children of this process that have not been waited
    ///   for. They report nothing more, beginning before the cut.
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

    /// Restores the power: unmounts the volume as soon as no process has an open file on it, and mounts what is on the
    /// disk.
    ///
    /// Meanwhile the kernel replays the filesystem's journal. Call this also after ``makeReadOnly()``.
    ///
    /// - Throws: ``VolumeError`` if a process has a file open for more than half a minute.
    package func remount() async throws {
        let deadline = ContinuousClock.now + Self.unmountPatience
        while true {
            do {
                try await VolumeCommand.run("umount", self.path)
                break
            } catch let error as VolumeError {
                guard .now < deadline else { throw error }
                // The kernel has no event for the last file that is closed.
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        try await self.mount()
    }

    /// Takes all free space (ENOSPC). Blocks that a file already has can still be overwritten, such as a part of
    /// SQLite's WAL.
    package func fill() async throws {
        // Space that is only promised to delayed writes is allocated first; otherwise it would become free afterwards.
        try await VolumeCommand.run("sync", "--file-system", self.path)
        try await VolumeFiller.fill(self.filler)
    }

    /// Frees the space.
    package func free() throws { try FileManager.default.removeItem(atPath: self.filler) }

    /// Makes writes fail from now on (EROFS), also to open files, while reads succeed: as ext4 itself does when its
    /// disk fails.
    ///
    /// The kernel rejects a plain `mount -o remount,ro` while a file is open for writing. As on a real failed disk, the
    /// mount cannot become writable again: end the processes that use the volume, then call ``remount()``.
    ///
    /// An `fsync` in progress at that moment can return success although its data will not be there after a new mount
    /// (a plain append and `fdatasync` did so in one of ten, Linux 6.18). Real disks that fail do not do that. So the
    /// processes are stopped at that moment, with no system call in progress.
    ///
    /// - Parameter processes: as in ``powerCut(of:)``; they continue afterwards.
    package func makeReadOnly(before processes: [Int32] = []) async throws {
        defer { processes.forEach(StoppedProcess.goOn) }
        for process in processes { try await StoppedProcess.stop(process, isAmidSystemCall: false) }
        try await VolumeCommand.run("mount", "-o", "remount,abort", self.path)
    }

    /// Makes writes and syncs wait until ``thaw()``, like a disk that hangs; reads succeed.
    package func freeze() async throws { try await VolumeCommand.run("fsfreeze", "--freeze", self.path) }

    /// Lets the waiting writes and syncs continue.
    package func thaw() async throws { try await VolumeCommand.run("fsfreeze", "--unfreeze", self.path) }

    /// Thaws, unmounts, frees the loop device and removes the image, whatever was done before.
    ///
    /// If a process still has a file open here, the device stays until the file is closed.
    package func destroy() async { await self.keeper.cleanUp() }

    /// Leaves the cleanup to the keeper, like the end of this process.
    func abandon() { self.keeper.abandon() }

    private func mount() async throws {
        try await VolumeCommand.run(
            "mount", "-t", "ext4", "-o", "nosuid,nodev,errors=remount-ro", self.device, self.path)
    }
}
