// SPDX-License-Identifier: Apache-2.0

import Glibc
import SecureFiles

/// The agent that uses a spool, if there is one.
package enum SpoolHolder: Sendable, Hashable {
    /// No agent uses the spool. Operations that the spool lists as running were left behind by an agent that ended.
    case noAgent
    /// The process with this id is the agent.
    case process(Int32)
    /// The system does not report whether an agent uses the spool.
    case unknown

    /// Reads the kernel's list of locks. In a container, the list contains at most the locks of the container's own
    /// processes. If it has no lock on the file, this initializer tries the lock itself: it takes the lock shared, and
    /// releases it immediately. An agent that starts at that moment waits for the lock (``SpoolLock``), and other
    /// inspections share it.
    init(_ directory: SpoolDirectory, in opened: CheckedDirectory, locks: () -> String? = Self.locks) {
        do {
            guard let file = try opened.openForReading(SpoolDirectory.lockFile) else {
                self = .noAgent
                return
            }
            let process = SpoolLock.process(file)
            if let list = locks(), let status = try? file.status() {
                self.init(LockFile(status, process: process), among: list)
                if case .process = self { return }
            }
            switch SpoolLock.lockError(file) {
            case nil: self = .noAgent
            // The process id in the file is the agent's id in its own container.
            case EWOULDBLOCK?: self = process.map { .process($0) } ?? .unknown
            default: self = .unknown
            }
        } catch {
            self = .unknown
        }
    }

    /// Returns the text of `/proc/locks`. The kernel returns it in pieces, and Foundation would stop at the end of a
    /// piece.
    private static func locks() -> String? {
        guard let file = try? OpenFile("/proc/locks", O_RDONLY, action: "read"),
            let list = try? file.read(limit: Self.maximumListSize, expected: 64 << 10)
        else { return nil }
        return String(decoding: list, as: UTF8.self)
    }

    private static let maximumListSize = 64 << 20

    /// - Parameter list: the text of `/proc/locks`.
    init(_ file: LockFile, among list: String) {
        for line in list.split(separator: "\n") {
            // 1: FLOCK  ADVISORY  WRITE 4711 fe:00:1572867 0 EOF
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            guard fields.count >= 6, fields[1] == "FLOCK", let process = Int32(fields[4]) else { continue }
            let place = fields[5].split(separator: ":")
            guard place.count == 3, UInt64(place[2]) == file.inode else { continue }
            // On some file systems this device number differs from the one that stat(2) reports for the file.
            let isSameDevice = UInt32(place[0], radix: 16) == file.major && UInt32(place[1], radix: 16) == file.minor
            guard isSameDevice || process == file.process else { continue }
            self = .process(process)
            return
        }
        self = .noAgent
    }

    /// The identity of an agent's lock file.
    struct LockFile {
        let inode: UInt64
        let major: UInt32
        let minor: UInt32
        /// The process that last wrote its id into the file.
        let process: Int32?

        init(inode: UInt64, major: UInt32, minor: UInt32, process: Int32?) {
            self.inode = inode
            self.major = major
            self.minor = minor
            self.process = process
        }

        init(_ status: FileStatus, process: Int32?) {
            let device = status.device
            self.init(
                inode: status.inode, major: UInt32((device >> 8) & 0xFFF | (device >> 32) & ~0xFFF),
                minor: UInt32(device & 0xFF | (device >> 12) & ~0xFF & 0xFFFF_FFFF), process: process)
        }
    }
}
