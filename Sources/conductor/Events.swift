import ArgumentParser
import Notifications
import ProgramStreams
import Settings

/// `conductor events`: every event there is.
struct Events: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists every event with its queue, and whether it is published.",
        discussion: """
            The built-in ones, and those of the files that catalogue.files names. Settings that only `serve` needs may \
            be missing.
            """)

    /// The forms in which the events can be printed.
    enum Form: String, EnumerableFlag {
        case markdown
        case json
        case ceilometer

        static func help(for form: Form) -> ArgumentHelp? {
            switch form {
            case .markdown: "Print the whole manual of the events: Docs/events.md."
            case .json: "Print one JSON object, for programs."
            case .ceilometer: "Print event definitions for Ceilometer: deploy/ceilometer/event_definitions.yaml."
            }
        }
    }

    @Flag(exclusivity: .exclusive) var form: Form?

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        try await ConductorExit.mapErrors {
            let settings = try await self.options.load(ConductorSettings.schema.requiring(only: []))
            let catalogues = try settings.catalogues()
            let document = CatalogueDocument(catalogues, topic: try settings.string("messaging.topic"))
            switch self.form {
            case nil: try StandardStreams.print(document.list())
            case .markdown: try StandardStreams.print(document.markdown())
            case .json: try StandardStreams.print(document.json() + "\n")
            case .ceilometer: try StandardStreams.print(catalogues.ceilometerEventDefinitions)
            }
        }
    }
}
