import Foundation
import Glibc

/// Who has a spool.
public enum SpoolHolder: Sendable, Hashable {
    /// No agent: what runs by the spool's account was left behind.
    case nobody
    /// The agent of this process.
    case process(Int32)
    /// The system does not say.
    case unknown

    /// Looks in the system's list of locks, so as to take none: an agent that starts at this moment must find it free.
    init(_ directory: SpoolDirectory) {
        guard let file = LockFile(directory.lockFile) else {
            self = .nobody
            return
        }
        guard let list = Self.locks(), !list.isEmpty || file.process == nil else {
            self = .unknown
            return
        }
        self.init(file, among: list)
    }

    /// What `/proc/locks` holds: the system gives it out in pieces, at whose end Foundation would stop.
    private static func locks() -> String? {
        let descriptor = unsafe open("/proc/locks", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var list: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = unsafe read(descriptor, &piece, piece.count)
            guard count > 0 else { return count == 0 ? String(decoding: list, as: UTF8.self) : nil }
            list += piece[..<count]
        }
    }

    /// - Parameter list: what `/proc/locks` holds.
    init(_ file: LockFile, among list: String) {
        for line in list.split(separator: "\n") {
            // 1: FLOCK  ADVISORY  WRITE 4711 fe:00:1572867 0 EOF
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            guard fields.count >= 6, fields[1] == "FLOCK", let process = Int32(fields[4]) else { continue }
            let place = fields[5].split(separator: ":")
            guard place.count == 3, UInt64(place[2]) == file.inode else { continue }
            // Some file systems show another device here than to those who ask for the file's.
            let isSameDevice = UInt32(place[0], radix: 16) == file.major && UInt32(place[1], radix: 16) == file.minor
            guard isSameDevice || process == file.process else { continue }
            self = .process(process)
            return
        }
        self = .nobody
    }

    /// What is known of an agent's lock file.
    struct LockFile {
        let inode: UInt64
        let major: UInt32
        let minor: UInt32
        /// The process that last wrote its id there.
        let process: Int32?

        init(inode: UInt64, major: UInt32, minor: UInt32, process: Int32?) {
            self.inode = inode
            self.major = major
            self.minor = minor
            self.process = process
        }

        /// nil when there is none.
        init?(_ path: String) {
            var status = stat()
            guard unsafe stat(path, &status) == 0 else { return nil }
            let device = UInt64(status.st_dev)
            let text =
                (try? FileHandle(forReadingFrom: URL(fileURLWithPath: path)))
                .flatMap { try? $0.read(upToCount: 32) } ?? Data()
            self.init(
                inode: UInt64(status.st_ino), major: UInt32((device >> 8) & 0xFFF | (device >> 32) & ~0xFFF),
                minor: UInt32(device & 0xFF | (device >> 12) & ~0xFF & 0xFFFF_FFFF),
                process: Int32(String(decoding: text.prefix { $0 != 10 }, as: UTF8.self)))
        }
    }
}
