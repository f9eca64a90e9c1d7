// SPDX-License-Identifier: Apache-2.0

import Foundation
import Notifications
import StatusNotifications
import Testing

/// Status notifications, compared with the example messages of Trove's own description of them.
@Suite struct StatusNotificationTests {
    /// The instance of the document's first four examples, as it was created.
    private static let created: DatabaseInstance = {
        var instance = DatabaseInstance(
            id: "6a0541e4-807e-4e9f-8cc1-44e3a36a6e1c", name: "test", tenantID: "1bd558252da84dbf91bd50e379680b7a",
            userID: "dd2b7a976381419a93f3234050c07bd5", flavor: .init(id: 10, name: "m1.rd-tiny", memory: 512),
            volume: .init(size: 1, id: "FAKE_VOL_dedff250-e668-4720-a583-e38483200569"),
            novaInstanceID: "FAKE_1f0be776-49e2-416b-aeeb-f101b5fa93b9", state: "BUILD",
            createdAt: time("2015-06-28T05:54:52Z"), region: "LOCAL_DEV", availabilityZone: "nova",
            datastore: .serviceID("123"))
        // The examples are older than the field.
        instance.resourceID = nil
        return instance
    }()

    private static let existing: DatabaseInstance = {
        var instance = DatabaseInstance(
            id: "75143330-ee41-47cb-aa39-fbdbb5a18190", name: "test", tenantID: "ce60ec801f814906afab5e3b03d1ecee",
            userID: "12fd0c0eaf4b457eadbded348e7f4860", flavor: .init(id: "7", name: "m1.rd-tiny"),
            novaInstanceID: "1cf6ce1b-708b-4e6a-8ecf-2b60c8ccd435", state: "ACTIVE",
            createdAt: time("2015-06-29 20:52:12"), region: "LOCAL_DEV", datastore: .manager("mysql"))
        instance.resourceID = nil
        return instance
    }()

    private static let period = AuditPeriod(
        beginning: time("2015-07-10T20:05:29.870091Z"), ending: time("2015-07-10T21:05:29.870091Z"))

    private static func time(_ text: String) -> NotificationTimestamp {
        NotificationTimestamp(text) ?? NotificationTimestamp(microsecondsSinceEpoch: 0)
    }

    private static func changed(
        state: String, flavor: DatabaseInstance.Flavor? = nil, volumeSize: Int
    ) -> DatabaseInstance {
        var instance = Self.created
        instance.state = state
        instance.stateDescription = state
        instance.flavor = flavor ?? instance.flavor
        instance.volume?.size = volumeSize
        return instance
    }

    /// The instance and the event of each example, in the document's order.
    private static let inputs: [(DatabaseInstance, InstanceEvent)] = {
        let smaller = DatabaseInstance.Flavor(id: 8, name: "m1.rd-smaller", memory: 768)
        return [
            (created, .create),
            (
                changed(state: "ACTIVE", volumeSize: 3),
                .modifyVolume(oldSize: 1, at: time("2015-06-28 05:58:25.6"))
            ),
            (
                changed(state: "ACTIVE", flavor: smaller, volumeSize: 3),
                .modifyFlavor(oldMemory: 512, at: time("2015-06-28T06:00:36Z"))
            ),
            (
                changed(state: "SHUTDOWN", flavor: smaller, volumeSize: 3),
                .delete(at: time("2015-06-28T06:01:56Z"))
            ),
            (existing, .exists(period)),
        ]
    }()

    private static func examples() throws -> [JSONObject] {
        let file = URL(fileURLWithPath: #filePath).appending(path: "../../Compatibility/trove-status-examples.json")
        let value = try JSONValue(json: Array(Data(contentsOf: file.standardizedFileURL)))
        return try #require(value.array).compactMap(\.object)
    }

    /// Returns the members in the order of their names. In JSON the order has no meaning.
    private static func sorted(_ object: JSONObject) -> JSONObject {
        JSONObject(
            object.members.map { ($0.name, $0.value.object.map { .object(sorted($0)) } ?? $0.value) }
                .sorted { $0.0 < $1.0 })
    }

    @Test("Trove's example messages are reproduced", arguments: 0..<5)
    func troveExamples(index: Int) throws {
        let example = try Self.examples()[index]
        let (instance, event) = Self.inputs[index]
        let notification = try instance.notification(
            of: event, publisherID: try #require(example["publisher_id"]?.string),
            messageID: try #require(example["message_id"]?.string.flatMap(MessageID.init)),
            timestamp: try #require(example["timestamp"]?.string.flatMap(NotificationTimestamp.init)))
        var body = try #require(try JSONValue(json: Envelope.messaging.encode(notification)).object)
        #expect(body["_unique_id"]?.string?.count == 32)
        body["_unique_id"] = nil
        #expect(Self.sorted(body) == Self.sorted(example))
    }

    @Test("The fields that the specification added later are published")
    func laterFields() throws {
        var instance = Self.existing
        instance.resourceID = instance.id
        instance.clusterID = "cluster-1"
        instance.flavor.memory = 512
        instance.volume = .init(size: 5)
        instance.availabilityZone = "nova"
        for event: InstanceEvent in [.create, .exists(Self.period)] {
            let payload = try instance.notification(of: event, publisherID: "taskmanager.h").payload
            #expect(payload["resource_id"] == .string(instance.id))
            #expect(payload["cluster_id"] == "cluster-1")
            #expect(payload["instance_size"] == 512)
            #expect(payload["volume_size"] == 5)
            #expect(payload["nova_volume_id"] == nil)
        }
        #expect(DatabaseInstance.createdForTest(id: "i").resourceID == "i")
    }

    /// Uses an instance that has every field that the specification lists for an event.
    @Test("Every declared field is created, and no other")
    func declaredFields() throws {
        var instance = Self.created
        instance.resourceID = instance.id
        instance.clusterID = "cluster-1"
        let events: [InstanceEvent] = [
            .create, .delete(at: .now()), .modifyVolume(oldSize: 1, at: .now()),
            .modifyFlavor(oldMemory: 1, at: .now()),
            .exists(Self.period),
        ]
        for event in events {
            let definition = try #require(Catalogues.builtIn.event(event.eventType)).definition
            let payload = try instance.notification(of: event, publisherID: "taskmanager.h").payload
            #expect(Set(payload.members.map(\.name)) == Set(definition.fields.map(\.name)), "\(event.eventType)")
            // No field was created that the catalogue would have dropped.
            #expect(instance.payload(of: event).members.count == payload.members.count)
        }
    }

    @Test("A field that an event requires is named when it is missing")
    func missingFields() {
        var instance = Self.created
        instance.flavor.memory = nil
        #expect(throws: FieldError(field: "payload.instance_size", problem: "is missing")) {
            try instance.notification(of: .create, publisherID: "p")
        }
        instance = Self.created
        instance.userID = nil
        #expect(throws: FieldError(field: "payload.user_id", problem: "must be a string, not null")) {
            try instance.notification(of: .create, publisherID: "p")
        }
    }

    /// Trove's own periodic event is created from its database alone, and has no user.
    @Test("The periodic event can be published without a user")
    func unknownUser() throws {
        var instance = Self.existing
        instance.userID = nil
        #expect(try instance.notification(of: .exists(Self.period), publisherID: "p").payload["user_id"] == .null)
    }

    @Test("A quota's usage can be published under either event type")
    func quotaSpellings() throws {
        var usage = QuotaUsage(
            resource: "volumes", inUse: 3, reserved: 1, limit: -1, updated: Self.time("2015-06-29T20:52:12.5Z"),
            tenantID: "t")
        let notification = try usage.notification(publisherID: "taskmanager.h")
        #expect(notification.eventType == "dbaas.quotas" && notification.priority == .info)
        #expect(
            notification.payload == [
                "resource": "volumes", "in_use": 3, "reserved": 1, "limit": -1,
                "updated": "2015-06-29T20:52:12.500000", "tenant_id": "t",
            ])
        usage.updated = nil
        usage.tenantID = nil
        let trove = try usage.notification(as: .quota, publisherID: "taskmanager.h")
        #expect(trove.eventType == "dbaas.quota")
        #expect(trove.payload["updated"] == .null && trove.payload["tenant_id"] == nil)
    }
}

@Suite struct ServiceIDTests {
    @Test("The default service ids are Trove's, and can be overridden")
    func defaultServiceIDs() {
        let own = ServiceIDs.trove.overridden(by: ServiceIDs(["mysql": "a", "oracle": "b"]))
        #expect(ServiceIDs.trove.serviceID(ofManager: "mysql") == "2f3ff068-2bfb-4f70-9a9d-a6bb65bc084b")
        #expect(own.serviceID(ofManager: "mysql") == "a")
        #expect(own.serviceID(ofManager: "oracle") == "b")
        #expect(own.serviceID(ofManager: "mariadb") == "7a4f82cc-10d2-4bc6-aadc-d9aacc2a3cb5")
        #expect(own.serviceID(ofManager: "MySQL") == "unknown-service-id-error")
    }
}

extension DatabaseInstance {
    fileprivate static func createdForTest(id: String) -> DatabaseInstance {
        DatabaseInstance(
            id: id, name: "n", tenantID: "t", userID: "u", flavor: .init(id: 1, name: "f"), novaInstanceID: nil,
            state: "ACTIVE", createdAt: .now(), region: "r", datastore: .manager("mysql"))
    }
}
