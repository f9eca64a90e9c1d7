// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Notifications
import Notifier
import RelayTesting
import Testing

private struct DiskFull: Error, CustomStringConvertible {
    var description: String { "no space left" }
}

/// One notification object: its start, its one outcome, its context.
@Suite struct APINotificationTests {
    private let base: JSONObject = [
        "tenant_id": "tenant-1", "user_id": "user-1", "client_ip": "198.51.100.7", "server_ip": "192.0.2.1:8779",
        "server_type": "api", "request_id": "req-1",
    ]

    private func base(_ more: JSONObject) -> JSONObject {
        JSONObject((self.base.members + more.members).map { ($0.name, $0.value) })
    }

    @Test("The start and the end are two events of one request")
    func startAndEnd() async throws {
        let driver = TestDriver()
        let notification = try await ControlPlaneNotifier.api(driver).start(
            "configuration_create", request: .sample,
            payload: ["name": "n", "datastore": "mysql", "datastore_version": "8"])
        #expect(notification.isOpen)
        try await notification.end(["configuration_id": "c-1"])
        #expect(!notification.isOpen)

        let (start, end) = (driver.notifications[0], driver.notifications[1])
        #expect(driver.notifications.count == 2)
        #expect(start.eventType == "dbaas.configuration_create.start" && end.eventType.hasSuffix("create.end"))
        #expect(
            start.payload == self.base(["name": "n", "datastore": "mysql", "datastore_version": "8"]))
        #expect(end.payload == self.base(["configuration_id": "c-1"]))
        #expect(start.messageID == notification.startMessageID && end.messageID == notification.outcomeMessageID)
        #expect(start.messageID != end.messageID)
        for message in [start, end] {
            #expect(message.publisherID == "api.control-1" && message.priority == .info)
            #expect(message.context["request_id"] == "req-1" && message.context["project_id"] == "tenant-1")
        }
    }

    @Test("An error event has the error's text, its source location and the instance")
    func errorFields() async throws {
        let driver = TestDriver()
        let notification = try await ControlPlaneNotifier.api(driver).start(
            "instance_restart", request: .sample, payload: ["instance_id": "i-1"])
        try await notification.error(DiskFull(), fileID: "API/Restart.swift", line: 7)
        let error = try #require(driver.notifications.last)
        #expect(error.eventType == "dbaas.instance_restart.error" && error.priority == .error)
        #expect(
            error.payload
                == self.base([
                    "message": "no space left",
                    "exception": ["caught at API/Restart.swift:7", "DiskFull: no space left"], "instance_id": "i-1",
                ]))
    }

    @Test("An error of another runtime is published unchanged")
    func foreignError() async throws {
        let driver = TestDriver()
        let notification = try await ControlPlaneNotifier.api(driver).start(
            "instance_create", request: .sample,
            payload: ["name": "n", "flavor": "1", "datastore": "mysql", "datastore_version": "8"])
        try await notification.error(
            ExceptionInfo(etype: "ValueError", value: "x", trace: ["Traceback", "ValueError: x"]),
            payload: ["instance_id": "half-made"])
        let error = try #require(driver.notifications.last)
        #expect(error.payload["exception"] == ["Traceback", "ValueError: x"])
        #expect(error.payload["instance_id"] == "half-made")
    }

    @Test("Missing start fields are all named, and nothing is published")
    func missingStartFields() async {
        let driver = TestDriver()
        let error = await #expect(throws: FieldError.self) {
            try await ControlPlaneNotifier.api(driver).start("instance_resize_volume", request: .sample)
        }
        let missing = ["instance_id", "new_size"].map { FieldError(field: "payload.\($0)", problem: "is missing") }
        #expect(error?.all == missing)
        #expect(driver.notifications.isEmpty)
    }

    @Test("A missing end field leaves the outcome open")
    func missingEndField() async throws {
        let driver = TestDriver()
        let notification = try await ControlPlaneNotifier.api(driver).start(
            "cluster_create", request: .sample,
            payload: ["name": "n", "datastore": "mongodb", "datastore_version": "7"])
        await #expect(throws: FieldError(field: "payload.cluster_id", problem: "is missing")) {
            try await notification.end()
        }
        #expect(notification.isOpen)
        notification.set("cluster_id", to: "earlier")
        try await notification.end(["cluster_id": "c-1"])
        #expect(driver.notifications.last?.payload["cluster_id"] == "c-1")
    }

    @Test("A second outcome is rejected")
    func secondOutcome() async throws {
        let driver = TestDriver()
        let notification = try await ControlPlaneNotifier.api(driver).start(
            "instance_restart", request: .sample, payload: ["instance_id": "i-1"])
        try await notification.end()
        for second in [{ try await notification.end() }, { try await notification.error(DiskFull()) }] {
            let error = await #expect(throws: NotificationMisuseError.self) { try await second() }
            #expect(error?.code == .outcomeDecided)
        }
        let error = #expect(throws: NotificationMisuseError.self) { try notification.handOff() }
        #expect(error?.code == .outcomeDecided)
        #expect(driver.notifications.count == 2)
    }

    @Test("An outcome is rejected while another call publishes one")
    func concurrentOutcome() async throws {
        let driver = HeldDriver()
        let notification = try ControlPlaneNotifier.api(driver).notification(
            "instance_restart", request: .sample, payload: ["instance_id": "i-1"])
        let end = Task { try await notification.end() }
        await driver.received(1)
        let error = await #expect(throws: NotificationMisuseError.self) { try await notification.end() }
        #expect(error?.code == .inProgress)
        driver.release()
        try await end.value
    }

    @Test("A retried outcome sends the same message again")
    func retriedOutcome() async throws {
        let driver = ScriptedDriver([nil, .busy, .busy])
        let notification = try await ControlPlaneNotifier.api(driver).start(
            "instance_create", request: .sample,
            payload: ["name": "n", "flavor": "1", "datastore": "mysql", "datastore_version": "8"])
        for _ in 0..<2 {
            let error = await #expect(throws: DriverError.self) { try await notification.end(["instance_id": "i-1"]) }
            #expect(error == .busy)
        }
        // The outcome is decided, although no driver has confirmed it yet.
        let other = await #expect(throws: NotificationMisuseError.self) { try await notification.error(DiskFull()) }
        #expect(other?.code == .outcomeDecided)
        #expect(throws: NotificationMisuseError.self) { try notification.handOff() }
        try await notification.end(["instance_id": "not looked at"])
        let ends = driver.attempts.dropFirst()
        #expect(ends.count == 3 && Set(ends).count == 1)
        #expect(ends.first?.messageID == notification.outcomeMessageID)
    }

    @Test("An outcome that is too large can be replaced by a shorter one")
    func oversizedOutcome() async throws {
        let driver = ScriptedDriver([nil, .tooLarge])
        let notification = try await ControlPlaneNotifier.api(driver).start(
            "instance_restart", request: .sample, payload: ["instance_id": "i-1"])
        let long = ExceptionInfo(etype: "E", value: "long")
        let error = await #expect(throws: DriverError.self) { try await notification.error(long) }
        #expect(error == .tooLarge)
        try await notification.error(ExceptionInfo(etype: "E", value: "short"))
        #expect(driver.attempts.map { $0.payload["message"] } == [nil, "long", "short"])
        #expect(driver.attempts[1].messageID == driver.attempts[2].messageID)
    }

    @Test("A context that is handed off leaves the outcome to its receiver")
    func handedOffContext() async throws {
        let driver = TestDriver()
        let notification = try await ControlPlaneNotifier.api(driver).start(
            "backup_create", request: .sample,
            payload: [
                "name": "b", "instance_id": "i-1", "description": nil, "parent_id": nil, "password": "hunter2",
            ])
        #expect(notification.undeclaredFields == ["password"])
        let context = try notification.handOff()
        #expect(context.operation == "backup_create" && context.requestID == "req-1")
        #expect(context.serverIP == "192.0.2.1:8779" && context.serverType == "api")
        #expect(context.payload == ["name": "b", "instance_id": "i-1", "description": nil, "parent_id": nil])
        let error = await #expect(throws: NotificationMisuseError.self) {
            try await notification.end(["backup_id": "b-1"])
        }
        #expect(error?.code == .handedOff)
        #expect(driver.notifications.count == 1)

        // The task manager, which received the context from the API.
        let task = ControlPlaneNotifier(
            Notifier(drivers: [driver]),
            origin: NotificationOrigin(publisherID: "taskmanager.t", serverType: "task", serverIP: "192.0.2.2"),
            logger: Logger(label: "test"))
        let resumed = try task.notification(resuming: context)
        try await resumed.start()
        try await resumed.end(["backup_id": "b-1"])
        #expect(driver.notifications.map(\.eventType) == ["dbaas.backup_create.start", "dbaas.backup_create.end"])
        #expect(driver.notifications.last?.publisherID == "taskmanager.t")
        #expect(driver.notifications.last?.payload["server_type"] == "task")
    }

    @Test("A hand-off whose call throws does not count")
    func failedHandOff() async throws {
        let driver = TestDriver()
        let notification = try await ControlPlaneNotifier.api(driver).start(
            "instance_restart", request: .sample, payload: ["instance_id": "i-1"])
        await #expect(throws: DiskFull.self) { try await notification.handOff { _ in throw DiskFull() } }
        let request = try await notification.handOff { $0.requestID }
        #expect(request == "req-1")
        let error = await #expect(throws: NotificationMisuseError.self) {
            try await notification.handOff { _ in Issue.record("called") }
        }
        #expect(error?.code == .handedOff)
    }

    @Test("Undeclared fields are named once and not published")
    func undeclaredFields() async throws {
        let driver = TestDriver()
        let notification = try await ControlPlaneNotifier.api(driver).start(
            "instance_restart", request: .sample, payload: ["instance_id": "i-1", "colour": "red"])
        try await notification.end(["colour": "blue", "size": 3])
        #expect(notification.undeclaredFields == ["colour", "size"])
        #expect(driver.notifications.allSatisfy { $0.payload["colour"] == nil && $0.payload["size"] == nil })
    }

    @Test("At most 64 fields can be set, and a set field can be replaced")
    func fieldLimit() throws {
        let notification = try ControlPlaneNotifier.api().notification(
            "instance_restart", request: .sample, payload: ["instance_id": "i-1"])
        for index in 0..<64 { #expect(notification.set("f\(index)", to: "x")) }
        #expect(!notification.set("one more", to: nil))
        #expect(notification.set("f3", to: "replaced"))
    }
}
