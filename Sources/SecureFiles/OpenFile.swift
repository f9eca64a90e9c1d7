import CLinuxFiles
package import Glibc

/// An open file, which closes at the end of its life.
package struct OpenFile: ~Copyable {
    /// For system calls that this type does not have.
    package let descriptor: CInt
    let path: String

    /// `O_PATH` of fcntl.h, which glibc shows to those alone who ask for GNU's names: needs no right to read the directory.
    static let lookUpOnly: CInt = 0o10_000_000

    /// Opens a path, with `O_CLOEXEC`.
    ///
    /// - Parameter action: for the error: "read", "written".
    /// - Throws: ``FileError``.
    package init(_ path: String, _ flags: CInt, permissions: mode_t = 0, action: String) throws(FileError) {
        try self.init(AT_FDCWD, path, flags, permissions, path, action)
    }

    init(
        _ directory: CInt, _ name: String, _ flags: CInt, _ permissions: mode_t, _ path: String, _ action: String
    ) throws(FileError) {
        // Not assigned before it is known to be good: once every field is set `deinit` runs, also when this throws.
        let descriptor = unsafe openat(directory, name, flags | O_CLOEXEC, permissions)
        guard descriptor >= 0 else { throw FileError(errno, opening: path, flags, action) }
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(self.descriptor) }

    /// What the file system says of the open file.
    package func status() throws(FileError) -> FileStatus {
        var status = stat()
        guard unsafe fstat(self.descriptor, &status) == 0 else { throw FileError(errno, self.path, "looked at") }
        return FileStatus(status)
    }

    /// Reads to the end.
    ///
    /// - Parameter expected: how many bytes there probably are.
    /// - Throws: ``FileError``, also when there are more than the limit.
    package func read(limit: Int, expected: Int = 0) throws(FileError) -> [UInt8] {
        // Room for one more, so that a file of the expected length needs no growing.
        var capacity = min(max(expected, 0), limit) + 1
        while true {
            var failure: FileError?
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
                while count < buffer.count, let base = buffer.baseAddress {
                    let number = unsafe pread(self.descriptor, base + count, buffer.count - count, off_t(count))
                    if number < 0, errno == EINTR { continue }
                    if number < 0 { failure = FileError(errno, self.path, "read") }
                    guard number > 0 else { break }
                    count += number
                }
                // What is thrown away may be a secret.
                if failure != nil || count == buffer.count, let base = buffer.baseAddress {
                    let isKept = failure == nil && count <= limit
                    if !isKept { unsafe explicit_bzero(base, buffer.count) }
                }
            }
            if let failure { throw failure }
            if bytes.count < capacity { return bytes }
            guard bytes.count <= limit else {
                throw FileError(.tooLong, self.path, "is longer than \(limit) bytes; name the right file")
            }
            // It has grown since it was looked at.
            var outgrown = bytes
            SecretBytes.wipe(&outgrown)
            capacity = min(capacity * 2, limit + 1)
        }
    }

    /// Writes all of it.
    package func write(_ bytes: [UInt8]) throws(FileError) {
        var written = 0
        while written < bytes.count {
            let count = unsafe bytes[written...].withUnsafeBytes {
                unsafe Glibc.write(self.descriptor, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw FileError(count == 0 ? ENOSPC : errno, self.path, "written") }
            written += count
        }
    }

    /// Returns when what was written is on the disk.
    package func sync() throws(FileError) {
        guard fsync(self.descriptor) == 0 else { throw FileError(errno, self.path, "written") }
    }

    /// Returns when all that was written to the file's volume is on the disk, names in directories included.
    func syncVolume() throws(FileError) {
        let code = linux_files_sync_volume(self.descriptor)
        guard code == 0 else { throw FileError(code, self.path, "written") }
    }

    /// The names in an open directory, in no order, without `.` and `..`.
    ///
    /// - Throws: ``FileError``, also when there are more than the limit.
    func names(limit: Int) throws(FileError) -> [String] {
        // One of its own, since the place in the directory is the open file's.
        let copy = unsafe openat(self.descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0 else { throw FileError(errno, self.path, "read") }
        guard let stream = unsafe fdopendir(copy) else {
            let code = errno
            close(copy)
            throw FileError(code, self.path, "read")
        }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                guard errno == 0 else { throw FileError(errno, self.path, "read") }
                return names
            }
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name != ".", name != ".." else { continue }
            guard names.count < limit else {
                throw FileError(.tooLong, self.path, "holds more than \(limit) files")
            }
            names.append(name)
        }
    }
}

/// Secrets in memory.
package enum SecretBytes {
    /// Overwrites the bytes, so that they do not stay in freed memory.
    package static func wipe(_ bytes: inout [UInt8]) {
        unsafe bytes.withUnsafeMutableBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            unsafe explicit_bzero(base, buffer.count)
        }
    }
}
