// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import GuestAgent
import GuestSpool
import Notifications
import Settings

/// The options that select a command's spools.
struct SpoolOptions: ParsableArguments {
    @OptionGroup var settings: SettingsOptions

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Use one spool, such as that of an embedding service, instead of those in spool.directory.",
            valueName: "directory"))
    var spool: String?

    /// The directory that holds the spools, and each spool's directory.
    struct Places {
        let directory: String
        let paths: [String]
    }

    /// - Parameter forChanging: whether spools will be changed. The directory is then closed to other users.
    /// - Throws: ``OutboxError`` with ``OutboxError/Code/noSpool`` when there is no such directory.
    func places(_ settings: Settings, forChanging: Bool = false) throws -> Places {
        if let spool = self.spool { return Places(directory: spool, paths: [spool]) }
        let directory = try settings.string("spool.directory")
        let slots = SpoolSlots(directory)
        let paths: [String]
        do {
            paths = try slots.existing()
        } catch let error {
            throw OutboxError(error.code, "spool.directory: \(error) The first exec creates it.")
        }
        // A directory without a spool is left as it is.
        if forChanging, !paths.isEmpty { slots.restrictToOwner() }
        return Places(directory: directory, paths: paths)
    }

    /// Returns the places according to the settings, of which none is required.
    func places(forChanging: Bool = false) async throws -> Places {
        try self.places(await self.settings.load(required: false), forChanging: forChanging)
    }
}

/// The options that select a command's outcomes.
struct SpoolSelection: ParsableArguments {
    @Flag(name: .long, help: "Select outcomes that no conductor accepts.")
    var setAside = false

    @Flag(name: .long, help: "Select outcomes that wait for a conductor.")
    var waiting = false

    func validate() throws {
        if self.setAside, self.waiting { throw ValidationError("--set-aside and --waiting exclude each other.") }
    }

    /// The selected state; nil when no option was given.
    var state: SpoolOutcome.State? { self.setAside ? .setAside : self.waiting ? .waiting : nil }
}

extension SpoolInspection {
    private static let page = 200

    /// Calls the body with each outcome of these states, in their order. At most one page of outcomes is in memory.
    func forEach(_ states: [SpoolOutcome.State], _ body: (SpoolOutcome) throws -> Void) async throws {
        for state in states {
            var last: Int64 = 0
            while true {
                let page = try await self.outcomes(state, after: last, limit: Self.page)
                for outcome in page { try body(outcome) }
                guard page.count == Self.page, let end = page.last?.sequence else { break }
                last = end
            }
        }
    }
}
