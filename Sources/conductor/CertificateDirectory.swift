// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CertificateIssuing
import Foundation
import Glibc
import SecureFiles
import StandardIO
import TLSChannel

/// The directory in which `conductor certificates` creates files.
struct CertificateDirectory {
    /// A file to create.
    struct File {
        let name: String
        let text: String
        /// Whether only its owner may read it.
        var isSecret = false

        /// Returns the files of a certificate and its key. The key comes first: a certificate without its key is of no
        /// use.
        static func pair(_ name: String, certificate: String, key: String) -> [File] {
            [File(name: "\(name).key", text: key, isSecret: true), File(name: "\(name).pem", text: certificate)]
        }
    }

    /// The directory that the commands use by default.
    static let defaultPath = "certificates"
    /// The number of days for which a certificate is valid by default.
    static let defaultDays = 365

    private let path: String

    init(_ path: String) {
        self.path = path
        // Overrides the caller's umask: programs of other users read the certificates.
        _ = umask(0o022)
    }

    /// Returns the absolute path of a file.
    func path(of name: String) -> String { URL(fileURLWithPath: self.path).appending(path: name).path }

    /// Creates all of these files, complete and on the disk, or none of them. Existing files are not touched.
    ///
    /// - Parameter remedy: what the user can do when a file of that name exists.
    func make(_ files: [File], remedy: String) throws {
        do throws(FileError) {
            // All names are checked before the first file is created. If a file of such a name appears in between, its
            // creation fails.
            for file in files where try FileStatus.of(self.path(of: file.name), followingLinks: false) != nil {
                throw FileError(EEXIST, self.path(of: file.name), "made")
            }
            try self.make(files[...])
        } catch {
            guard error.kind == .exists else { throw Self.failure(error) }
            throw ValidationError("\(error.path) exists already; no file was created. \(remedy)")
        }
        try StandardStreams.print(files.map { "Wrote \(self.path(of: $0.name)).\n" }.joined())
    }

    private func make(_ files: ArraySlice<File>) throws(FileError) {
        guard let first = files.first else { return }
        var file = try NewFile(self.path(of: first.name), permissions: first.isSecret ? 0o600 : 0o644)
        try file.write(Array(first.text.utf8))
        try file.sync()
        // If another file fails, this one is removed again, because it is not kept yet. Once all
        // are created, nothing can fail.
        try self.make(files.dropFirst())
        file.keepSynced()
    }

    /// Creates the directory if it does not exist, then the files in it. After a failure, removes a directory that it
    /// has created.
    func makeWithDirectory(_ files: [File], remedy: String) throws {
        let isNew = try self.mapFailure { () throws(FileError) in try FileStatus.of(self.path) == nil }
        do {
            try FileManager.default.createDirectory(
                atPath: self.path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw ValidationError("The directory \(self.path) cannot be created; check the path and its permissions.")
        }
        do {
            try self.make(files, remedy: remedy)
        } catch {
            // rmdir(2) removes the directory only if it is empty.
            if isNew { _ = unsafe rmdir(self.path) }
            throw error
        }
    }

    /// Replaces the file of this name in one step, because programs may be reading it. Every user may read the new
    /// file.
    func replace(_ name: String, with text: String) throws {
        let path = self.path(of: name)
        let new = "\(path).new"
        try self.mapFailure { () throws(FileError) in
            // Removes the file of an attempt that was killed; ``locked(_:)`` excludes other processes.
            if unsafe unlink(new) != 0, errno != ENOENT { throw FileError(errno, new, "removed") }
            var file = try NewFile(new, permissions: 0o644)
            try file.write(Array(text.utf8))
            try file.sync()
            guard unsafe rename(new, path) == 0 else { throw FileError(errno, path, "replaced") }
            try file.keep()
        }
        try StandardStreams.print("Wrote \(path).\n")
    }

    /// Runs the body, which reads a file and replaces it, under a lock that excludes other processes.
    func locked(_ body: () throws -> Void) throws {
        let path = self.path(of: "ca.key")
        // Without `ca.key` the body runs unlocked: it reports the missing file.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        defer { if descriptor >= 0 { close(descriptor) } }
        if descriptor >= 0 {
            while flock(descriptor, LOCK_EX) != 0 {
                guard errno == EINTR else { throw Self.failure(FileError(errno, path, "locked")) }
            }
        }
        try body()
    }

    /// Reads a file.
    func read(_ name: String) throws -> String {
        guard let text = try self.readIfPresent(name) else {
            let guest = name.hasPrefix("guest-") ? name.dropFirst(6).prefix { $0 != "." } : ""
            let command = guest.isEmpty ? "init" : "guest \(guest)"
            throw ValidationError(
                "\(self.path(of: name)) does not exist; create it with `conductor certificates \(command)`, or name the"
                    + " --directory that contains it.")
        }
        return text
    }

    /// Reads a file. Returns nil when no file has this name.
    func readIfPresent(_ name: String) throws -> String? {
        do throws(FileError) {
            let contents = try FileContents(self.path(of: name), limit: FileContents.maximumPEMBytes)
            return String(decoding: contents.bytes, as: UTF8.self)
        } catch {
            guard error.kind == .missing else { throw Self.failure(error) }
            return nil
        }
    }

    /// Returns the directory's certificate authority.
    func authority() throws -> CertificateAuthority {
        let (certificate, key) = (try self.read("ca.pem"), try self.read("ca.key"))
        return try self.naming(["ca.pem", "ca.key"]) { () throws(TLSError) in
            try CertificateAuthority(certificatePEM: certificate, privateKeyPEM: key)
        }
    }

    /// Runs the work on the text of these files; an error then names their paths.
    func naming<Result>(_ names: [String], work: () throws(TLSError) -> Result) throws -> Result {
        do {
            return try work()
        } catch {
            let paths = names.map { self.path(of: $0) }.joined(separator: ", ")
            throw ValidationError("\(paths): \(error.message).")
        }
    }

    /// Warns when the authority's certificate expires before a certificate that the authority has just issued.
    func warnOfAuthority(_ authority: CertificateAuthority, issued certificate: String) throws {
        let (own, issued) = try (PeerCertificate(pem: authority.certificatePEM), PeerCertificate(pem: certificate))
        guard own.notAfter < issued.notAfter else { return }
        ConductorExit.printMessage(
            "warning: \(self.path(of: "ca.pem")) expires before the new certificate, and all that it has issued is invalid from then on; renew it with"
                + " `conductor certificates renew ca`.")
    }

    private func mapFailure<Result>(_ body: () throws(FileError) -> Result) throws -> Result {
        do {
            return try body()
        } catch {
            throw Self.failure(error)
        }
    }

    private static func failure(_ error: FileError) -> ValidationError { ValidationError("\(error)") }
}
