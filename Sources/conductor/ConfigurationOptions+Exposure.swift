import SecureFiles
import Settings

extension ConfigurationOptions {
    /// Why others may have the broker's password that the settings file holds, and what to do; nil when it holds none, or nobody
    /// else may read or write it. The same rule holds for it as for the file of a key.
    func exposedPassword(_ settings: Settings) throws -> String? {
        let name = "messaging.transport_url"
        guard let path = self.config, settings.isSet(name, inFile: path),
            try settings.optionalString(name)?.contains("@") == true
        else { return nil }
        do throws(FileError) {
            try FileRule.secret.check(path)
            return nil
        } catch {
            return "the file \(path), which holds \(name), \(error.clause)"
        }
    }
}
