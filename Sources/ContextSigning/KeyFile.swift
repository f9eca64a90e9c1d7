// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import SecureFiles

/// A key file, read once. Its bytes are wiped when the value is destroyed.
struct KeyFile: ~Copyable {
    private let contents: FileContents
    /// The most bytes that are read, in case of a wrong file; no key is longer.
    private static let limit = 65_536

    /// Reads the file.
    ///
    /// - Throws: ``SigningKeyError`` that names the file.
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

    /// The bytes of the file.
    var bytes: [UInt8] { self.contents.bytes }

    /// The bytes without trailing line ends, which an editor or `openssl rand` adds and which are not part of the key.
    var text: [UInt8] {
        Array(self.bytes.prefix((self.bytes.lastIndex { $0 != 0x0A && $0 != 0x0D } ?? -1) + 1))
    }

    /// Checks the owner and the mode of the file (``FileAccessRule``).
    ///
    /// - Parameter isSecret: whether a reader of the file could sign.
    /// - Throws: ``SigningKeyError`` when other users can change the file, or can read a secret.
    func checkPermissions(isSecret: Bool) throws(SigningKeyError) {
        do throws(FileError) {
            try self.contents.check(isSecret ? .secret : .trusted)
        } catch {
            throw SigningKeyError("the file \(error.path) \(error.clause)")
        }
    }
}
