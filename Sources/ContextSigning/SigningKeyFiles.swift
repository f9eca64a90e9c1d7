// SPDX-License-Identifier: Apache-2.0

import SecureFiles

/// The files that keys are loaded and reloaded from: named files, and all files of a directory.
package struct SigningKeyFiles: Sendable, Hashable {
    /// A key in a named file.
    package struct Named: Sendable, Hashable {
        /// The key's name.
        package var kid: String
        /// The key's algorithm.
        package var algorithm: SigningAlgorithm
        /// The path of the key's file.
        package var path: String

        /// A key of these values.
        package init(kid: String, algorithm: SigningAlgorithm, path: String) {
            self.kid = kid
            self.algorithm = algorithm
            self.path = path
        }

        /// Reads the key.
        ///
        /// - Throws: ``SigningKeyError`` that begins with the key's name, and names the file.
        package func key() throws(SigningKeyError) -> SigningKey {
            do {
                return try SigningKey(kid: self.kid, algorithm: self.algorithm, file: self.path)
            } catch {
                throw SigningKeyError("\(self.kid): \(error)")
            }
        }
    }

    /// The keys in named files.
    package var named: [Named]
    /// A directory in which each file is a key, `KID.EdDSA` or `KID.HS256`. Files whose names begin with a dot are
    /// skipped.
    package var directory: String?

    /// The most key files in a directory. It bounds the work on a wrong directory, since a set holds fewer keys.
    private static let longestDirectory = 256
    /// The most names in a directory, including skipped ones.
    private static let nameLimit = 1024

    /// Creates a list of these files.
    package init(named: [Named], directory: String?) {
        self.named = named
        self.directory = directory
    }

    /// The paths to watch for changes, including the directory itself. The getter reads the directory, which may block.
    package var paths: [String] {
        let found = (try? self.inDirectory()) ?? []
        return self.named.map(\.path) + [self.directory].compactMap(\.self) + found.map(\.path)
    }

    /// Lists the keys of the directory in the order of their names; none when there is no directory.
    ///
    /// - Throws: ``SigningKeyError`` that names the directory or the file.
    package func inDirectory() throws(SigningKeyError) -> [Named] {
        guard let directory else { return [] }
        var names: [String]
        do throws(FileError) {
            let opened = try CheckedDirectory(directory, for: .reading)
            // A user who can add a file can sign.
            try FileAccessRule.trusted.check(opened.status, path: directory)
            names = try opened.names(limit: Self.nameLimit)
        } catch {
            throw SigningKeyError("the directory \(directory) \(error.clause)")
        }
        // Secret volumes keep the targets of the other names under such names, and editors files that are not saved
        // yet.
        names.removeAll { $0.hasPrefix(".") }
        guard names.count <= Self.longestDirectory else {
            throw SigningKeyError(
                "the directory \(directory) holds more than \(Self.longestDirectory) files; remove the files that are not keys in use"
            )
        }
        var keys: [Named] = []
        for name in names.sorted() {
            guard let dot = name.lastIndex(of: "."), dot != name.startIndex,
                let algorithm = SigningAlgorithm(rawValue: String(name[name.index(after: dot)...]))
            else {
                let known = SigningAlgorithm.allCases.map { "KID.\($0.rawValue)" }.joined(separator: " or ")
                throw SigningKeyError(
                    "the directory \(directory) holds \(name.debugDescription), which is not called \(known); rename it "
                        + "or remove it")
            }
            keys.append(Named(kid: String(name[..<dot]), algorithm: algorithm, path: "\(directory)/\(name)"))
        }
        return keys
    }
}
