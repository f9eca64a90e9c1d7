import CConductorOpenSSL
import Glibc

/// A file with a key in it, read once; its bytes are wiped when it goes.
struct KeyFile: ~Copyable {
    /// What it holds.
    let bytes: [UInt8]
    private let path: String
    private let mode: mode_t
    /// No key is longer; it bounds what is read of a wrong file.
    private static let limit = 65_536
    /// Any right of others, and the group's right to write.
    private static let forbidden: mode_t = S_IRWXO | S_IWGRP

    /// Reads the file.
    ///
    /// - Throws: ``SigningKeyError`` that names it.
    init(_ path: String) throws(SigningKeyError) {
        let (bytes, mode) = try Self.read(path)
        self.path = path
        self.bytes = bytes
        self.mode = mode
    }

    deinit {
        self.bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            OPENSSL_cleanse(UnsafeMutableRawPointer(mutating: base), buffer.count)
        }
    }

    /// The bytes without the line ends behind them: what an editor or `openssl rand` leaves there is not the key's.
    var text: [UInt8] {
        Array(self.bytes.prefix((self.bytes.lastIndex { $0 != 0x0A && $0 != 0x0D } ?? -1) + 1))
    }

    /// - Parameter isSecret: whether who reads it could sign.
    /// - Throws: ``SigningKeyError`` for a file that others than its owner and group can read, or could have changed.
    func checkPermissions(isSecret: Bool) throws(SigningKeyError) {
        if isSecret, self.mode & Self.forbidden != 0 {
            throw SigningKeyError(
                "the file \(self.path) can be read by others, or changed by its group; make it its owner's alone with "
                    + "`chmod 600`, or 640 for its group")
        }
        if self.mode & (S_IWGRP | S_IWOTH) != 0 {
            throw SigningKeyError("the file \(self.path) can be changed by others than its owner; `chmod go-w` it")
        }
    }

    private static func read(_ path: String) throws(SigningKeyError) -> ([UInt8], mode_t) {
        // Not to wait for a pipe's writer: such a file is refused below.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { throw self.unreadable(path, errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw self.unreadable(path, errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw SigningKeyError("the file \(path) is no regular file; name the file that holds the key")
        }
        var bytes: [UInt8] = []
        // At once, so that growing leaves no copies behind.
        bytes.reserveCapacity(self.limit + 4096)
        var chunk = [UInt8](repeating: 0, count: 4096)
        defer { OPENSSL_cleanse(&chunk, chunk.count) }
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count == 0 { return (bytes, status.st_mode) }
            if count < 0 {
                if errno == EINTR { continue }
                throw self.unreadable(path, errno)
            }
            bytes.append(contentsOf: chunk[..<count])
            guard bytes.count <= self.limit else {
                throw SigningKeyError("the file \(path) is longer than \(self.limit) bytes, and so holds no key")
            }
        }
    }

    private static func unreadable(_ path: String, _ reason: Int32) -> SigningKeyError {
        if reason == ENOENT || reason == ENOTDIR {
            return SigningKeyError("the file \(path) does not exist; check the path")
        }
        return SigningKeyError(
            "the file \(path) cannot be read: \(String(cString: strerror(reason))); check its owner and permissions")
    }
}
