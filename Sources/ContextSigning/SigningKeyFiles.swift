import SecureFiles

/// The files that keys are read from, again and again: some that are named, and all of a directory.
package struct SigningKeyFiles: Sendable, Hashable {
    /// A key whose file is named.
    package struct Named: Sendable, Hashable {
        /// The key's name.
        package var kid: String
        /// What it is for.
        package var algorithm: SigningAlgorithm
        /// Its file.
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

    /// The keys whose files are named.
    package var named: [Named]
    /// A directory in which each file is a key, `KID.EdDSA` or `KID.HS256`; those whose names begin with a dot are passed
    /// over.
    package var directory: String?

    /// More than a set may have: it bounds what is read of a wrong directory.
    private static let longestDirectory = 256
    /// The same with names that are passed over.
    private static let nameLimit = 1024

    /// These files.
    package init(named: [Named], directory: String?) {
        self.named = named
        self.directory = directory
    }

    /// All there is to look at for a change, the directory itself too. It reads the directory, which may block.
    package var paths: [String] {
        let found = (try? self.inDirectory()) ?? []
        return self.named.map(\.path) + [self.directory].compactMap(\.self) + found.map(\.path)
    }

    /// The keys of the directory, in the order of their names; none without a directory.
    ///
    /// - Throws: ``SigningKeyError`` that names the directory or the file.
    package func inDirectory() throws(SigningKeyError) -> [Named] {
        guard let directory else { return [] }
        var names: [String]
        do throws(FileError) {
            let opened = try CheckedDirectory(directory, for: .reading)
            // Who can put a file there can sign.
            try FileRule.trusted.check(opened.status, path: directory)
            names = try opened.names(limit: Self.nameLimit)
        } catch {
            throw SigningKeyError("the directory \(directory) \(error.clause)")
        }
        // Where volumes of secrets keep what the other names point to, and editors what they have not written yet.
        names.removeAll { $0.hasPrefix(".") }
        guard names.count <= Self.longestDirectory else {
            throw SigningKeyError("the directory \(directory) holds more than \(Self.longestDirectory) files")
        }
        var keys: [Named] = []
        for name in names.sorted() {
            guard let dot = name.lastIndex(of: "."), dot != name.startIndex,
                let algorithm = SigningAlgorithm(rawValue: String(name[name.index(after: dot)...]))
            else {
                let known = SigningAlgorithm.allCases.map { "KID.\($0.rawValue)" }.joined(separator: " or ")
                throw SigningKeyError(
                    "the directory \(directory) holds \(name.debugDescription), which is not called \(known); rename it "
                        + "or take it away")
            }
            keys.append(Named(kid: String(name[..<dot]), algorithm: algorithm, path: "\(directory)/\(name)"))
        }
        return keys
    }
}
