// SPDX-License-Identifier: Apache-2.0

import CLinuxFiles
package import Glibc

/// An open file, which is closed at the end of its life.
package struct OpenFile: ~Copyable {
    /// The file descriptor, for system calls that this type does not have.
    package let descriptor: CInt
    let path: String

    /// `O_PATH`, with which a directory can be opened without the right to read it. glibc declares it only with
    /// `_GNU_SOURCE`.
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
        // Checked before it is assigned: once every field is set, `deinit` runs even when this throws.
        let descriptor = unsafe openat(directory, name, flags | O_CLOEXEC, permissions)
        guard descriptor >= 0 else { throw FileError(errno, opening: path, flags, action) }
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(self.descriptor) }

    /// Returns the status of the open file.
    package func status() throws(FileError) -> FileStatus {
        var status = stat()
        guard unsafe fstat(self.descriptor, &status) == 0 else { throw FileError(errno, self.path, "inspected") }
        return FileStatus(status)
    }

    /// Reads to the end.
    ///
    /// - Parameter expected: the number of bytes that the file probably has.
    /// - Throws: ``FileError``, also when there are more than the limit.
    package func read(limit: Int, expected: Int = 0) throws(FileError) -> [UInt8] {
        // One byte more, so that a file of the expected length needs no larger buffer.
        var capacity = min(max(expected, 0), limit) + 1
        while true {
            var failure: FileError?
            var bytes = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
                while count < buffer.count, let base = buffer.baseAddress {
                    let number = unsafe pread(self.descriptor, base + count, buffer.count - count, off_t(count))
                    if number < 0, errno == EINTR { continue }
                    if number < 0 { failure = FileError(errno, self.path, "read") }
                    guard number > 0 else { break }
                    count += number
                }
                // The discarded bytes may be a secret.
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
            // The file has grown since its status was read.
            SecretBytes.wipe(&bytes)
            capacity = min(capacity * 2, limit + 1)
        }
    }

    /// Writes all of the bytes.
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

    /// Writes the file's data to the disk, and returns when it is there.
    package func sync() throws(FileError) {
        guard fsync(self.descriptor) == 0 else { throw FileError(errno, self.path, "written") }
    }

    /// Writes all data of the file's volume to the disk, names in directories included, and returns when it is there.
    func syncVolume() throws(FileError) {
        let code = linux_files_sync_volume(self.descriptor)
        guard code == 0 else { throw FileError(code, self.path, "written") }
    }

    /// Returns the names in an open directory, in no order, without `.` and `..`.
    ///
    /// - Throws: ``FileError``, also when there are more than the limit.
    func names(limit: Int) throws(FileError) -> [String] {
        // Opened again, because copies of a descriptor share the position in the directory.
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
                throw FileError(
                    .tooLong, self.path, "has more than \(limit) entries; remove some, or name another directory")
            }
            names.append(name)
        }
    }
}
