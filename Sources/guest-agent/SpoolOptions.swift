import ArgumentParser
import GuestAgent
import Settings

/// Which spools a command is about.
struct SpoolOptions: ParsableArguments {
    @OptionGroup var settings: SettingsOptions

    @Option(
        name: .long,
        help: ArgumentHelp(
            "One spool, such as an embedding service has, instead of those in spool.directory.",
            valueName: "directory"))
    var spool: String?

    /// Where the spools are, and their directories.
    struct Places {
        let directory: String
        let paths: [String]
    }

    /// - Parameter forChanging: whether spools will be changed, which no other user may be able to then.
    /// - Throws: ``OutboxError`` with ``OutboxError/Code/noSpool`` when there is no such directory.
    func places(_ settings: Settings, forChanging: Bool = false) throws -> Places {
        if let spool = self.spool { return Places(directory: spool, paths: [spool]) }
        let directory = try settings.string("spool.directory")
        let slots = SpoolSlots(directory)
        let paths: [String]
        do {
            paths = try slots.existing()
        } catch let error {
            throw OutboxError(error.code, "spool.directory: \(error) The first exec makes it.")
        }
        // A directory without a spool is left as it is.
        if forChanging, !paths.isEmpty { slots.closeToOthers() }
        return Places(directory: directory, paths: paths)
    }

    /// The places, by settings of which none is required.
    func places(forChanging: Bool = false) async throws -> Places {
        try self.places(await self.settings.load(required: false), forChanging: forChanging)
    }
}

/// Which outcomes a command is about.
struct SpoolSelection: ParsableArguments {
    @Flag(name: .long, help: "Those that no conductor takes.")
    var setAside = false

    @Flag(name: .long, help: "Those that wait for a conductor.")
    var waiting = false

    func validate() throws {
        if self.setAside, self.waiting { throw ValidationError("--set-aside and --waiting exclude each other.") }
    }

    /// nil when nothing was said.
    var state: SpoolOutcome.State? { self.setAside ? .setAside : self.waiting ? .waiting : nil }
}

extension SpoolInspection {
    private static let page = 200

    /// Every outcome of these states, in their order; as many of them in memory as make a page.
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
