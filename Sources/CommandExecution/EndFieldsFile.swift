// SPDX-License-Identifier: Apache-2.0

import CCommandExecution
import Glibc
package import SystemPackage

/// The file to which a command writes fields of its end or error event.
///
/// The file is in a directory of its own, created under `TMPDIR` with mode 1733. A command that has dropped its
/// privileges (`sudo -u mysql`) can create the file, also by renaming another file. Other users can neither list the
/// directory nor replace a file of another user in it, and the file's name cannot be guessed. The file is read only if
/// it is a regular file and no link.
package final class EndFieldsFile: Sendable {
    /// The reason why fields that a command wrote are ignored, as the rest of a sentence about the file.
    package struct Problem: Error, Sendable, Hashable, CustomStringConvertible {
        /// The rest of the sentence.
        package let description: String

        /// - Parameter description: the rest of a sentence.
        package init(description: String) { self.description = description }
    }

    /// The largest size of a file that is accepted, in bytes.
    package static let limit = 64 << 10

    /// The file's path, without the terminating zero.
    package let path: [UInt8]
    private let directoryPath: [UInt8]
    private let directory: FileDescriptor
    private let name: String

    /// Creates the directory, but not the file.
    ///
    /// - Parameter parent: the directory's parent; `TMPDIR` or `/tmp` by default.
    /// - Throws: the system's error when the directory cannot be created.
    package init(in parent: [UInt8]? = nil) throws(Errno) {
        let parent = parent ?? Self.temporaryDirectory
        // A template that mkdtemp(3) completes, with its terminating zero.
        var template = (parent + Array("/guest-agent-XXXXXX".utf8)).map { CChar(bitPattern: $0) } + [0]
        guard unsafe mkdtemp(&template) != nil else {
            throw Errno(rawValue: errno)
        }
        let descriptor = unsafe open(template, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else {
            let error = Errno(rawValue: errno)
            unsafe rmdir(template)
            throw error
        }
        self.directory = FileDescriptor(rawValue: descriptor)
        self.directoryPath = template.dropLast().map { UInt8(bitPattern: $0) }
        self.name =
            "end-fields-" + String(UInt64.random(in: .min ... .max), radix: 16)
            + String(UInt64.random(in: .min ... .max), radix: 16)
        self.path = self.directoryPath + Array("/\(self.name)".utf8)
        fchmod(descriptor, 0o1733)
    }

    private static var temporaryDirectory: [UInt8] {
        guard let value = unsafe getenv("TMPDIR"), unsafe value.pointee != 0 else { return Array("/tmp".utf8) }
        return unsafe UnsafeBufferPointer(start: value, count: strlen(value)).map { UInt8(bitPattern: $0) }
    }

    /// Reads the file that the command wrote.
    ///
    /// - Returns: nil when there is no file.
    package func read() throws(Problem) -> [UInt8]? {
        // Without O_NONBLOCK, opening a FIFO would wait for a writer.
        let descriptor = unsafe openat(
            self.directory.rawValue, self.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        guard descriptor >= 0 else {
            switch Errno(rawValue: errno) {
            case .noSuchFileOrDirectory: return nil
            case .tooManySymbolicLinkLevels: throw Problem(description: "is a symbolic link")
            case .noSuchAddressOrDevice: throw Problem(description: "is a socket")
            case let error: throw Problem(description: "cannot be read (\(error))")
            }
        }
        let file = FileDescriptor(rawValue: descriptor)
        defer { try? file.close() }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw Problem(description: "is not a regular file")
        }
        guard status.st_nlink == 1 else { throw Problem(description: "has another name elsewhere (a hard link)") }
        return try Self.content(of: file)
    }

    private static func content(of file: FileDescriptor) throws(Problem) -> [UInt8] {
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while content.count <= Self.limit {
            let count: Int
            do {
                count = try unsafe chunk.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
            } catch {
                throw Problem(description: "cannot be read (\(error))")
            }
            if count == 0 { return content }
            content += chunk[..<count]
        }
        throw Problem(description: "is longer than \(Self.limit >> 10) KiB")
    }

    /// Removes the directory and the files in it.
    package func remove() {
        command_empty_directory(self.directory.rawValue)
        try? self.directory.close()
        unsafe rmdir(self.directoryPath.map { CChar(bitPattern: $0) } + [0])
    }
}
