import Foundation
import Glibc
import GuestAgent

/// A file of JSON lines that is whole and on the disk, or not there.
struct ExportFile: ~Copyable {
    private let path: String
    private let descriptor: CInt
    private var isKept = false

    /// Makes the file, for this user only.
    ///
    /// - Throws: ``ExportFileError`` when it is there already or cannot be made.
    init(_ path: String) throws(ExportFileError) {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw errno == EEXIST
                ? ExportFileError(
                    description: "\(path) exists already; name a file that does not, so that none is lost.")
                : ExportFileError(path, errno)
        }
        // Only now: once every field is set `deinit` runs, also when this initializer throws, and it removes the file.
        self.path = path
        self.descriptor = descriptor
    }

    /// Adds a line.
    func write(_ object: JSONObject) throws(ExportFileError) {
        let line = JSONWriter.encode(.object(object)) + [UInt8(ascii: "\n")]
        var written = 0
        while written < line.count {
            let count = unsafe line[written...].withUnsafeBytes {
                unsafe Glibc.write(self.descriptor, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw ExportFileError(self.path, errno) }
            written += count
        }
    }

    /// Returns when the file, and its name in the directory, are on the disk.
    mutating func keep() throws(ExportFileError) {
        guard fsync(self.descriptor) == 0 else { throw ExportFileError(self.path, errno) }
        let directory = URL(fileURLWithPath: self.path).deletingLastPathComponent().path
        let directoryDescriptor = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directoryDescriptor >= 0 else { throw ExportFileError(self.path, errno) }
        defer { close(directoryDescriptor) }
        guard fsync(directoryDescriptor) == 0 else { throw ExportFileError(self.path, errno) }
        self.isKept = true
    }

    deinit {
        close(self.descriptor)
        if !self.isKept { _ = unsafe unlink(self.path) }
    }
}

/// Why outcomes could not be written to a file.
struct ExportFileError: Error, CustomStringConvertible {
    /// One sentence.
    let description: String

    init(description: String) { self.description = description }

    init(_ path: String, _ code: CInt) {
        let reason = unsafe String(cString: strerror(code))
        self.init(description: "\(path) cannot be written: \(reason). Nothing was taken out of the spool.")
    }
}
