// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CatalogueDocuments
import Notifications
import Settings
import StandardIO

/// `conductor events`: lists all events, or prints one.
struct Events: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List every event with its queue and whether it is published, or print one event with its fields.",
        discussion: """
            Includes the built-in events and those of the files in catalogue.files. Settings that only `serve` needs may \
            be missing. The exit status is 65 if no catalogue has the event.
            """)

    /// The formats in which the events can be printed.
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

    @Argument(
        help: ArgumentHelp(
            "Print this event or operation with its fields, such as dbaas.database_create.end.",
            valueName: "event"))
    var event: String?

    @Flag(exclusivity: .exclusive) var form: Form?

    @OptionGroup var options: ConfigurationOptions

    func validate() throws {
        guard self.event == nil || self.form == nil || self.form == .json else {
            throw ValidationError("--markdown and --ceilometer print all events; leave out \(self.event ?? "").")
        }
    }

    func run() async throws {
        try await ConductorExit.mapErrors {
            let settings = try await self.options.load(ConductorSettings.schema.requiring(only: []))
            let catalogues = try settings.catalogues()
            let document = CatalogueDocument(catalogues, topic: try settings.string("messaging.topic"))
            if let event {
                let text = self.form == .json ? document.json(of: event) : document.text(of: event)
                guard let text else {
                    let suggestion = NameSuggestion(for: event, isOperation: false, in: catalogues)
                    throw EventDataError("No catalogue has the event \(event.excerpt)\(suggestion.hint).")
                }
                try StandardStreams.print(text + (self.form == .json ? "\n" : ""))
                return
            }
            switch self.form {
            case nil: try StandardStreams.print(document.list())
            case .markdown: try StandardStreams.print(document.markdown())
            case .json: try StandardStreams.print(document.json() + "\n")
            case .ceilometer: try StandardStreams.print(catalogues.ceilometerEventDefinitions)
            }
        }
    }
}
