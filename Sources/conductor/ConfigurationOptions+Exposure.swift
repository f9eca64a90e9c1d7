// SPDX-License-Identifier: Apache-2.0

import ConductorService
import SecureFiles
import Settings

extension ConfigurationOptions {
    /// Returns how other users can get the broker's password from the settings file; nil when the file holds no
    /// password, or when no other user may read or write the file. The rule is the same as for the file of a key.
    func exposedPassword(_ settings: Settings) throws -> SecurityPosture.ExposedSecret? {
        let name = "messaging.transport_url"
        guard let path = self.config, settings.isSet(name, inFile: path),
            try settings.optionalString(name)?.contains("@") == true
        else { return nil }
        do throws(FileError) {
            try SecretFile.check(path)
            return nil
        } catch {
            // The clause has two parts: what is wrong, and what to do.
            let parts = error.clause.split(separator: "; ", maxSplits: 1).map(String.init)
            return SecurityPosture.ExposedSecret(
                setting: name, problem: "\(path) \(parts.first ?? error.clause)",
                remedy: parts.count > 1 ? parts[1] : "make it readable to its owner alone")
        }
    }
}
