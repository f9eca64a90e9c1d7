// SPDX-License-Identifier: Apache-2.0

import CatalogueFiles
import Notifications
import Settings

extension Settings {
    /// Returns the built-in catalogues and those of `catalogue.files`, with events switched on and off as the settings
    /// say. Reads the files.
    ///
    /// - Throws: ``CatalogueSettingsError`` for a file that cannot be used, for files that contradict one another or a
    ///   built-in catalogue, and for a pattern that matches no event.
    func catalogues() throws -> Catalogues {
        let (enable, disable) = (try self.strings("catalogue.enable"), try self.strings("catalogue.disable"))
        var catalogues = Catalogues.builtIn.catalogues
        var problems: [String] = []
        for file in try self.strings("catalogue.files") {
            do {
                catalogues.append(try Catalogue(file: file))
            } catch {
                problems += error.problems
            }
        }
        guard problems.isEmpty else { throw CatalogueSettingsError("catalogue.files", problems) }
        // Each setting is applied alone first, so that an error names the setting.
        for (setting, enable, disable) in [
            ("catalogue.files", [], []), ("catalogue.enable", enable, []), ("catalogue.disable", [], disable),
        ] {
            do {
                _ = try Catalogues(catalogues, switchedOn: enable, switchedOff: disable)
            } catch {
                throw CatalogueSettingsError(setting, ["\(error)."])
            }
        }
        return try Catalogues(catalogues, switchedOn: enable, switchedOff: disable)
    }
}

/// An error for catalogues that cannot be used. It names the setting.
struct CatalogueSettingsError: Error, CustomStringConvertible {
    /// Sentences that begin with the setting's name, one a line.
    let description: String

    init(_ setting: String, _ problems: [String]) {
        self.description = problems.map { "\(setting): \($0)" }.joined(separator: "\n")
    }
}
