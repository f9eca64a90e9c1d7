// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import CatalogueDocuments
import Foundation
import LogTesting
import Notifications
import Notifier
import Subprocess
import Testing

/// Every event of the catalogue passes through RabbitMQ to the real oslo.messaging, and from there through the real
/// Ceilometer, which is set up with deploy/ceilometer according to its README.
@Suite("Ceilometer", .timeLimit(.minutes(5)))
struct CeilometerTests {
    private static let kit = Compatibility.directory.appending(path: "../../deploy/ceilometer").standardizedFileURL

    @Test("Every event arrives complete, and Ceilometer derives its traits and meters from it")
    func everyEvent() async throws {
        let everyType = Catalogues.builtIn.catalogues.flatMap(\.allEvents).flatMap { event in
            [event.eventType, event.alternateEventType].compactMap(\.self)
        }
        // 120 events, of which one has two names.
        #expect(everyType.count == 121)
        try await Compatibility.withDirectory { directory in
            var received: (events: [String], examples: [String]) = ([], [])
            var sent: [String: EventSample] = [:]
            for driver in [DriverName.messaging, .messagingv2] {
                let (samples, documents) = (try EventSample.all(), try EventSample.examples())
                let lines = try await self.relay(samples + documents, by: driver)
                try #require(lines.count == samples.count + documents.count)
                var (ids, types): (Set<String>, Set<String>) = ([], [])
                let byID = Dictionary(
                    (samples + documents).map { ($0.message.messageID.description, $0) }, uniquingKeysWith: { $1 })
                for line in lines {
                    let (id, eventType) = try self.check(line, byID)
                    ids.insert(id)
                    types.insert(eventType)
                    if documents.contains(where: { $0.message.messageID.description == id }) {
                        received.examples.append(line)
                    }
                }
                #expect(ids == Set(byID.keys))
                #expect(types == Set(everyType))
                received.events += lines
                sent.merge(byID) { $1 }
            }
            // The examples of one driver are enough for the meters.
            received.examples.removeLast(received.examples.count / 2)
            try await self.install(into: directory)
            let (lines, all) = (received, sent)
            async let traits: Void = self.checkTraits(of: lines.events, all, in: directory)
            async let meters: Void = self.checkMeters(of: lines.examples, in: directory)
            _ = try await (traits, meters)
        }
    }

    @Test("Ceilometer derives traits from other catalogues, whatever their fields are named")
    func foreignCatalogue() async throws {
        var fields: [FieldDefinition] = [
            "on", "where", "true_size", "falsehood", "null", "a b", "a.b", "it's", "say \"so\"", "back\\slash", "größe",
            "1st",
            "instance_id",
        ].map { .required($0, "") }
        fields += [.required("ratio", "", .number), .optional("happy", "", .boolean), .optional("things", "", .any)]
        let shop = Catalogue(
            service: "shop", description: "", identifiers: ["it's", "ratio"],
            operations: [
                OperationDefinition(
                    key: "order", start: EventDefinition(eventType: "shop.order.start", fields: fields),
                    end: EventDefinition(eventType: "shop.order.end", fields: []),
                    error: EventDefinition(eventType: "shop.order.error", priority: .error, fields: []))
            ],
            events: [
                EventDefinition(eventType: "shop.usage", alternateEventType: "shop.use", fields: fields),
                EventDefinition(eventType: "shop.closed", fields: []),
            ])
        let catalogues = try Catalogues([.dbaas, shop])
        try await Compatibility.withDirectory { directory in
            try await self.install(into: directory)
            // Appended to the relay's own, part of which is then defined twice: operators append to the file they have.
            let file = directory.appending(path: "event_definitions.yaml")
            var definitions = try Data(contentsOf: file)
            definitions.append(contentsOf: catalogues.ceilometerEventDefinitions.utf8)
            try definitions.write(to: file)
            // An event that a newer Trove might send: Ceilometer derives the traits that every operation has.
            let ended = EventDefinition(eventType: "dbaas.instance_dance.end", fields: [])
            let failed = EventDefinition(eventType: "dbaas.instance_dance.error", priority: .error, fields: [])
            let dance = OperationDefinition(key: "instance_dance", start: nil, end: ended, error: failed)
            let newer = try Catalogues([Catalogue(service: "dbaas", description: "", operations: [dance])])
            let samples = try EventSample.all(of: catalogues) + EventSample.all(of: newer)
            let byID = Dictionary(
                samples.map { ($0.message.messageID.description, $0) }, uniquingKeysWith: { $1 })
            try await self.checkTraits(of: samples.map(\.line), byID, in: directory)
        }
    }

    /// Publishes the samples, counts them in their queues, and returns the lines that the real listener prints.
    private func relay(_ samples: [EventSample], by driver: DriverName) async throws -> [String] {
        let broker = try TestBroker.shared()
        let names = UniqueTopic()
        var messaging = MessagingConfiguration(transportURL: broker.url)
        messaging.exchange = names.exchange
        messaging.topic = names.topic
        let notifier = try Notifier(
            names: [driver], messaging: messaging, logger: .quiet)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await notifier.run() }
            for sample in samples {
                // As if a guest had reported it: its message has the header that names the guest.
                var message = sample.message
                message.sender = NotificationSender(key: 1, name: "tenant-1/guest-1")
                try await self.emit(message, notifier)
            }
            group.cancelAll()
        }
        let client = BrokerClient(broker)
        let errors = samples.filter { $0.message.priority == .error }.count
        #expect(errors > 0)
        #expect(try await client.count(names.error) == errors)
        #expect(try await client.count(names.info) == samples.count - errors)
        let end = try await Compatibility.run(
            "oslo_listener",
            [
                "--url", broker.url, "--exchange", names.exchange, "--topic", names.topic, "--count",
                "\(samples.count)", "--timeout", "90",
            ])
        #expect(end.status == .exited(0), "\(end.errorText)")
        return end.standardOutput.filter { $0 != "READY" }
    }

    /// Publishes the message once the notifier is connected, and waits for the broker's confirm.
    private func emit(_ message: NotificationMessage, _ notifier: Notifier) async throws {
        while true {
            do {
                return try await notifier.emit(message)
            } catch  where error.isRetryable {
                await Task.yield()
            }
        }
    }

    /// Compares a message that the listener received with the one that was sent.
    private func check(_ line: String, _ sent: [String: EventSample]) throws -> (id: String, eventType: String) {
        let received = try #require(try JSONValue(json: Array(line.utf8)).object)
        let metadata = try #require(received["metadata"]?.object)
        let id = try #require(metadata["message_id"]?.string)
        let message = try #require(sent[id], "\(id)").message
        #expect(metadata["timestamp"]?.string == message.timestamp.description)
        #expect(received["event_type"]?.string == message.eventType)
        #expect(received["priority"]?.string == (message.eventType.hasSuffix(".error") ? "error" : "info"))
        #expect(received["publisher_id"]?.string == message.publisherID)
        #expect(received["payload"] == .object(message.payload), "\(message.eventType)")
        return (id, message.eventType)
    }

    /// Runs the commands of the README, with another directory for /etc/ceilometer.
    private func install(into directory: URL) async throws {
        let readme = try String(contentsOf: Self.kit.appending(path: "README.md"), encoding: .utf8)
        let commands = try #require(readme.firstMatch(of: /(?s)```sh\n(.*?)```/)).output.1
        let python = URL(filePath: try Compatibility.python()).deletingLastPathComponent().path
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let end = try await Program("sh").run(
            ["-euc", "cd '\(Self.kit.path)'\n" + commands.replacing("/etc/ceilometer", with: directory.path)],
            environment: ["PATH": "\(python):\(path)"])
        try #require(end.status == .exited(0), "\(end.errorText)")
    }

    private func write(_ lines: [String], to file: URL) throws -> String {
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: file)
        return file.path
    }

    private func checkTraits(of lines: [String], _ sent: [String: EventSample], in directory: URL) async throws {
        let end = try await Compatibility.run(
            "ceilometer_events",
            [
                "--config", Self.kit.appending(path: "ceilometer.conf").path, "--definitions",
                directory.appending(path: "event_definitions.yaml").path, "--notifications",
                try self.write(lines, to: directory.appending(path: "events.jsonl")),
            ])
        try #require(end.status == .exited(0), "\(end.errorText)")
        var results = try end.standardOutput.map { try #require(try JSONValue(json: Array($0.utf8)).object) }
        let targets = results.removeFirst()["targets"]?.array ?? []
        let defaults = MessagingConfiguration(transportURL: "rabbit://localhost/")
        #expect(targets.contains([.string(defaults.exchange), .string(defaults.topic)]))
        #expect(results.count == lines.count)
        for result in results {
            let id = try #require(result["message_id"]?.string)
            let sample = try #require(sent[id], "\(id)")
            let eventType = Comment(rawValue: sample.message.eventType)
            #expect(result["lost"] == nil, eventType)
            #expect(
                result["generated"]?.string == sample.message.timestamp.description.replacing(" ", with: "T"), eventType
            )
            let traits = Dictionary(
                (result["traits"]?.object?.members ?? []).map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
            for name in Set(traits.keys).union(sample.traits.keys).sorted() {
                #expect(traits[name] == sample.traits[name], "\(eventType), \(name)")
            }
        }
    }

    private func checkMeters(of lines: [String], in directory: URL) async throws {
        let end = try await Compatibility.run(
            "ceilometer_meters",
            [
                "--config", Self.kit.appending(path: "ceilometer.conf").path, "--meters",
                directory.appending(path: "meters.d").path, "--resources",
                directory.appending(path: "gnocchi_resources.yaml").path, "--notifications",
                try self.write(lines, to: directory.appending(path: "examples.jsonl")),
            ])
        try #require(end.status == .exited(0), "\(end.errorText)")
        #expect(!end.errorText.contains("Error loading meter"), "\(end.errorText)")
        #expect(!end.errorText.contains("Skipping duplicate meter"), "\(end.errorText)")
        let samples = try end.standardOutput.map { try #require(try JSONValue(json: Array($0.utf8)).object) }
        func published(_ meter: String) -> [JSONValue?] {
            samples.filter { $0["name"]?.string == meter && $0["published"] == true }.map { $0["volume"] }
        }
        let uptime = try #require(samples.first { $0["name"] == "database.uptime" })
        #expect(published("database.uptime").count == 1)
        for (name, value): (String, JSONValue) in [
            ("type", "delta"), ("unit", "s"), ("volume", .number(try #require(JSONNumber(3600.0)))),
            ("resource_id", "75143330-ee41-47cb-aa39-fbdbb5a18190"),
            ("project_id", "ce60ec801f814906afab5e3b03d1ecee"), ("user_id", "12fd0c0eaf4b457eadbded348e7f4860"),
            ("timestamp", "2015-07-10T20:05:29.989971+00:00"), ("kept_as", "generic"),
        ] {
            #expect(uptime[name] == value, "\(name)")
        }
        #expect(uptime["metadata"]?.object?["instance_type"] == "m1.rd-tiny")
        // Create, modify_volume and modify_flavor; the document's exists event has no sizes.
        #expect(Set(published("database.instance.size")) == [512, 768])
        #expect(Set(published("database.volume.size")) == [1, 3])
        for (meter, unit) in [("database.instance.size", "MB"), ("database.volume.size", "GB")] {
            let all = samples.filter { $0["name"]?.string == meter }
            #expect(all.count == 4)
            #expect(all.filter { $0["published"] == false && $0["volume"] == .null }.count == 1)
            #expect(
                all.allSatisfy { $0["type"] == "gauge" && $0["unit"]?.string == unit && $0["kept_as"] == "generic" })
        }
        func volume(_ meter: String, _ messageID: String) -> JSONValue? {
            samples.first { $0["name"]?.string == meter && $0["message_id"]?.string == messageID }?["volume"]
        }
        let (create, modifyVolume) = ("7f8ff6b6-2f1f-40db-ae6f-c92cbc9e2827", "0a567714-b244-4c36-903a-e0892fd3cd2c")
        #expect(volume("database.instance.size", create) == 512)
        #expect(volume("database.volume.size", create) == 1)
        #expect(volume("database.volume.size", modifyVolume) == 3)
        // Ceilometer's own meter of the event is still there.
        #expect(published("trove.instance.exists").count == 1)
    }
}
