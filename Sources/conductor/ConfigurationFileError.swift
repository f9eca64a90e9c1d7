// SPDX-License-Identifier: Apache-2.0

import Settings
import TLSChannel

/// An error for a certificate or key that cannot be used. It names the settings of the file.
struct ConfigurationFileError: Error, CustomStringConvertible {
    /// One sentence that begins with the settings' names.
    let description: String

    /// - Parameters:
    ///   - error: what is wrong with a file; its message quotes the file's path.
    ///   - files: the settings that name files, with their values.
    init(_ error: TLSError, files: [(setting: String, path: String)]) {
        let concerned = files.filter { error.message.contains("(file \($0.path))") }.map(\.setting)
        let names = concerned.isEmpty ? files.map(\.setting) : concerned
        self.description = "\(names.joined(separator: ", ")): \(error.message)."
    }
}

extension TLSContext {
    /// Creates the TLS context of these settings.
    ///
    /// - Throws: ``ConfigurationFileError`` when a certificate or key cannot be used.
    convenience init(_ settings: Settings) throws {
        let configuration = try TLSConfiguration(settings)
        do {
            try self.init(configuration: configuration)
        } catch {
            throw ConfigurationFileError(
                error,
                files: try ["tls.key", "tls.certificate", "tls.guest_ca", "tls.guest_crl"].compactMap { name in
                    try settings.optionalString(name).map { (name, $0) }
                })
        }
    }
}
