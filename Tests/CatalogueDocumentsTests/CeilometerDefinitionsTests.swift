// SPDX-License-Identifier: Apache-2.0

import CatalogueDocuments
import Foundation
import Notifications
import Testing

/// The event definitions that an operator gives to Ceilometer. ProgramsTests tests them with the real Ceilometer.
@Suite struct CeilometerDefinitionsTests {
    private static let file = URL(fileURLWithPath: #filePath)
        .appending(path: "../../../deploy/ceilometer/event_definitions.yaml").standardizedFileURL

    @Test("The file event_definitions.yaml is what the catalogue generates")
    func fileIsCurrent() throws {
        let expected = Catalogues.builtIn.ceilometerEventDefinitions
        let isFresh = try String(contentsOf: Self.file, encoding: .utf8) == expected
        if !isFresh { print("---- event_definitions.yaml as it should be\n\(expected)----") }
        #expect(isFresh, "deploy/ceilometer/event_definitions.yaml is not what the catalogue writes; see the output")
    }

    @Test("Every event type is defined once")
    func eventTypesOnce() {
        let lines = Catalogues.builtIn.ceilometerEventDefinitions.split(separator: "\n")
        for event in Catalogues.builtIn.catalogues.flatMap(\.allEvents) {
            for eventType in [event.eventType, event.alternateEventType].compactMap(\.self) {
                #expect(lines.filter { $0 == "    - \(eventType)" }.count == 1, "\(eventType)")
            }
        }
    }

    @Test("Names that have another meaning in YAML or in a path are quoted")
    func quotedNames() throws {
        let names = ["on", "where", "true_size", "a b", "it's", "say \"so\"", "größe"]
        let event = EventDefinition(
            eventType: "shop.usage", fields: names.map { .required($0, "") } + [.required("ratio", "", .number)])
        let text = try Catalogues([Catalogue(service: "shop", description: "", events: [event])])
            .ceilometerEventDefinitions
        for lines in [
            "    \"on\": payload.on\n",
            "    where: \"payload.'where'\"\n",
            "    true_size: \"payload.'true_size'\"\n",
            "    \"a b\": \"payload.'a b'\"\n",
            "    \"it's\": \"payload.'it\\\\'s'\"\n",
            "    \"say \\\"so\\\"\": \"payload.'say \\\"so\\\"'\"\n",
            "    \"größe\": \"payload.'größe'\"\n",
            "    ratio: {type: float, fields: payload.ratio}\n",
        ] {
            #expect(text.contains(lines))
        }
        #expect(!text.contains("shop.*"), "there are no operations, whose base traits all events would have")
    }
}
