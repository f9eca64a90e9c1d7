// SPDX-License-Identifier: Apache-2.0

/// A file that holds a secret: a private key of TLS, a key that signs contexts, the key of the broker's client
/// certificate. Only the commands `conductor certificates` read keys without it: their caller may be another user than
/// the owner.
///
/// The file must comply with ``FileAccessRule/secret``. Owner and mode are those of the open file, so the file that is
/// checked is the file that is read. Its bytes are overwritten when they are no longer used.
package struct SecretFile: Sendable {
    /// The bytes of the file.
    package let bytes: SecretBytes
    private let path: String
    private let status: FileStatus

    /// Checks the file, then reads it.
    ///
    /// - Parameter limit: the maximum length in bytes.
    /// - Throws: ``FileError`` that says what to do; of the kind ``FileError/Kind/exposed`` when another user may read
    ///   or change the file.
    package init(_ path: String, limit: Int) throws(FileError) {
        self.init(try FileContents(path, limit: limit, rule: .secret))
    }

    /// Reads a file of which only the content says whether it is a secret, such as a key that may be a public one. The
    /// caller must call ``check(isSecret:)`` before it uses the content.
    package init(unchecked path: String, limit: Int) throws(FileError) {
        self.init(try FileContents(path, limit: limit))
    }

    private init(_ contents: consuming FileContents) {
        self.path = contents.path
        self.status = contents.status
        self.bytes = SecretBytes(contents.bytes)
    }

    /// Checks the file's owner and mode, as they were when it was read.
    ///
    /// - Parameter isSecret: false for a file that other users may read, but not change.
    /// - Throws: ``FileError`` of the kind ``FileError/Kind/exposed``.
    package func check(isSecret: Bool) throws(FileError) {
        try (isSecret ? FileAccessRule.secret : .trusted).check(self.status, path: self.path)
    }

    /// Checks the file's owner and mode without reading it, where a library that reads other kinds of files too has
    /// read it: a settings file that holds a password.
    ///
    /// - Throws: ``FileError``, as for a file that is read here.
    package static func check(_ path: String) throws(FileError) { try FileAccessRule.secret.check(path) }
}
