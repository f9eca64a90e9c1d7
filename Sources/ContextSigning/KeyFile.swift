import CConductorOpenSSL
import SecureFiles

/// A file with a key in it, read once; its bytes are wiped at the end of its life.
struct KeyFile: ~Copyable {
    private let contents: FileContents
    /// No key is longer; it bounds what is read of a wrong file.
    private static let limit = 65_536

    /// Reads the file.
    ///
    /// - Throws: ``SigningKeyError`` that names it.
    init(_ path: String) throws(SigningKeyError) {
        do throws(FileError) {
            self.contents = try FileContents(path, limit: Self.limit)
        } catch {
            throw SigningKeyError("the file \(path) \(error.clause)")
        }
    }

    deinit {
        self.contents.bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            OPENSSL_cleanse(UnsafeMutableRawPointer(mutating: base), buffer.count)
        }
    }

    /// What it holds.
    var bytes: [UInt8] { self.contents.bytes }

    /// The bytes without the line ends behind them: what an editor or `openssl rand` leaves there is not the key's.
    var text: [UInt8] {
        Array(self.bytes.prefix((self.bytes.lastIndex { $0 != 0x0A && $0 != 0x0D } ?? -1) + 1))
    }

    /// - Parameter isSecret: whether a reader of it could sign.
    /// - Throws: ``SigningKeyError`` for a file that others could read or have changed (``FileRule``).
    func checkPermissions(isSecret: Bool) throws(SigningKeyError) {
        do throws(FileError) {
            try self.contents.check(isSecret ? .secret : .trusted)
        } catch {
            throw SigningKeyError("the file \(error.path) \(error.clause)")
        }
    }
}
