// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import NIOConcurrencyHelpers
import Notifications
import Notifier
import RelayTesting
import Testing

private struct DiskFull: Error {}

/// Records log entries as one line each.
private struct LineRecorder: LogHandler {
    let lines: NIOLockedValueBox<[String]>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug

    init(lines: NIOLockedValueBox<[String]>) { self.lines = lines }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        self.lines.withLockedValue { $0.append("\(event.level) \(event.message) \(event.metadata ?? [:])") }
    }
}

/// The functions that a control plane's code calls.
@Suite struct ControlPlaneNotifierTests {
    // MARK: Lists of names

    @Test(
        "Each name in a list is an operation of its own",
        arguments: [
            ("database_create", "dbname"), ("user_create", "username"), ("user_grant", "database"),
            ("user_change_password", "username"),
        ])
    func operationPerName(operation: String, field: String) async throws {
        let driver = TestDriver()
        var payload: JSONObject = ["instance_id": "i-1", "username": "u"]
        payload[field] = ["one", "two"]
        if field == "dbname" { payload["username"] = nil }
        let notifications = try await ControlPlaneNotifier.api(driver).startEach(
            operation, request: .sample, payload: payload)
        #expect(notifications.count == 2)
        #expect(driver.notifications.map { $0.payload[field] } == ["one", "two"])
        #expect(Set(driver.notifications.map(\.messageID)).count == 2)
        #expect(notifications.map { $0.context.payload[field] } == ["one", "two"])
        try await notifications[1].end()
        #expect(driver.notifications.last?.payload[field] == "two")
        #expect(notifications[0].isOpen)
    }

    @Test("A list of several names is rejected for one operation, and a list of one is accepted")
    func listForOneOperation() async throws {
        let api = ControlPlaneNotifier.api(TestDriver())
        let error = await #expect(throws: FieldError.self) {
            try await api.start(
                "database_create", request: .sample, payload: ["instance_id": "i", "dbname": ["a", "b"]])
        }
        #expect(error?.field == "payload.dbname" && error?.problem.contains("startEach") == true)
        let one = try await api.start(
            "database_create", request: .sample, payload: ["instance_id": "i", "dbname": ["a"]])
        #expect(one.context.payload["dbname"] == "a")
    }

    private static let wrongLists: [(JSONValue, String)] = [
        ([], "payload.dbname"), (["a", 7], "payload.dbname[1]"), (["a", ["b"]], "payload.dbname[1]"),
    ]

    @Test("An invalid list is rejected before anything is published", arguments: Self.wrongLists)
    func invalidList(list: JSONValue, field: String) async throws {
        let driver = TestDriver()
        let error = await #expect(throws: FieldError.self) {
            try await ControlPlaneNotifier.api(driver).startEach(
                "database_create", request: .sample, payload: ["instance_id": "i", "dbname": list])
        }
        #expect(error?.field == field)
        #expect(driver.notifications.isEmpty)
    }

    @Test("A list in another field makes one event")
    func otherLists() async throws {
        let driver = TestDriver()
        let notifications = try await ControlPlaneNotifier.api(driver).startEach(
            "instance_create", request: .sample,
            payload: [
                "name": "n", "flavor_id": "1", "datastore": "mysql", "datastore_version": "8", "users": ["a", "b"],
            ])
        #expect(notifications.count == 1)
        #expect(driver.notifications.map { $0.payload["users"] } == [["a", "b"]])
    }

    @Test("A failed start and those after it can be retried, and published ones are not repeated")
    func partialStart() async throws {
        let driver = ScriptedDriver([nil, .busy])
        let error = await #expect(throws: StartError.self) {
            try await ControlPlaneNotifier.api(driver).startEach(
                "database_create", request: .sample, payload: ["instance_id": "i", "dbname": ["a", "b", "c"]])
        }
        let interrupted = try #require(error)
        #expect(interrupted.isRetryable && "\(interrupted)".hasPrefix("1 of 3 starts of database_create"))
        #expect(interrupted.started.map { $0.context.payload["dbname"] } == ["a"])
        #expect(interrupted.notStarted.map { $0.context.payload["dbname"] } == ["b", "c"])
        #expect(driver.attempts.count == 2)
        for notification in interrupted.notStarted { try await notification.start() }
        // A start that was published already is not published again.
        for notification in interrupted.started + interrupted.notStarted { try await notification.start() }
        #expect(driver.attempts.map { $0.payload["dbname"] } == ["a", "b", "b", "c"])
        #expect(driver.attempts[1] == driver.attempts[2])
    }

    @Test("An operation can end although its start was not published")
    func endWithoutStart() async throws {
        let driver = ScriptedDriver([.busy])
        let error = await #expect(throws: StartError.self) {
            try await ControlPlaneNotifier.api(driver).start(
                "instance_restart", request: .sample, payload: ["instance_id": "i-1"])
        }
        try await error?.notStarted.first?.end()
        #expect(driver.attempts.last?.eventType == "dbaas.instance_restart.end")
    }

    // MARK: Operations in a closure

    @Test("An operation that returns publishes its end")
    func returningOperation() async throws {
        let driver = TestDriver()
        let result = try await ControlPlaneNotifier.api(driver).withNotification(
            "configuration_create", request: .sample,
            payload: ["name": "n", "datastore": "mysql", "datastore_version": "8"]
        ) { notification in
            #expect(driver.notifications.count == 1)
            notification.set("configuration_id", to: "c-1")
            return 7
        }
        #expect(result == 7)
        #expect(driver.notifications.last?.eventType == "dbaas.configuration_create.end")
        #expect(driver.notifications.last?.payload["configuration_id"] == "c-1")
    }

    @Test("An operation that throws publishes its error with the source location")
    func throwingOperation() async throws {
        let driver = TestDriver()
        await #expect(throws: DiskFull.self) {
            try await ControlPlaneNotifier.api(driver).withNotification(
                "instance_restart", request: .sample, payload: ["instance_id": "i-1"], fileID: "A/B.swift", line: 3
            ) { _ in throw DiskFull() }
        }
        #expect(
            driver.notifications.last?.payload["exception"] == ["caught at A/B.swift:3", "DiskFull: DiskFull()"])
    }

    @Test("An operation that hands off or publishes its own outcome gets no second one")
    func ownOutcome() async throws {
        let driver = TestDriver()
        let api = ControlPlaneNotifier.api(driver)
        let payload: JSONObject = ["instance_id": "i-1"]
        try await api.withNotification("instance_restart", request: .sample, payload: payload) { _ = try $0.handOff() }
        #expect(driver.notifications.map(\.eventType) == ["dbaas.instance_restart.start"])
        await #expect(throws: DiskFull.self) {
            try await api.withNotification("instance_restart", request: .sample, payload: payload) {
                _ = try $0.handOff()
                throw DiskFull()
            }
        }
        #expect(driver.notifications.count == 2)
        try await api.withNotification("instance_restart", request: .sample, payload: payload) {
            try await $0.error(DiskFull())
        }
        #expect(driver.notifications.map(\.eventType).suffix(2).last == "dbaas.instance_restart.error")
        #expect(driver.notifications.count == 4)
    }

    @Test("An operation whose start is not published does not run")
    func unpublishedStart() async {
        await #expect(throws: StartError.self) {
            try await ControlPlaneNotifier.api(ScriptedDriver([.busy])).withNotification(
                "instance_restart", request: .sample, payload: ["instance_id": "i-1"]
            ) { _ in Issue.record("the operation ran") }
        }
    }

    @Test("An end that was not published can be published later")
    func unpublishedEnd() async throws {
        let driver = ScriptedDriver([nil, .busy])
        let error = await #expect(throws: UnpublishedEndError.self) {
            try await ControlPlaneNotifier.api(driver).withNotification(
                "instance_restart", request: .sample, payload: ["instance_id": "i-1"]
            ) { _ in }
        }
        #expect(error?.cause as? DriverError == .busy)
        try await error?.notification.end()
        #expect(driver.attempts.count == 3 && driver.attempts[1] == driver.attempts[2])
    }

    @Test("An outcome that an operation failed to publish is retried when the operation returns")
    func unpublishedOwnOutcome() async throws {
        let driver = ScriptedDriver([nil, .busy])
        try await ControlPlaneNotifier.api(driver).withNotification(
            "instance_restart", request: .sample, payload: ["instance_id": "i-1"]
        ) { notification in
            await #expect(throws: DriverError.self) { try await notification.error(DiskFull()) }
        }
        #expect(driver.attempts.count == 3 && driver.attempts[1] == driver.attempts[2])
    }

    @Test("The operation's own error is thrown even when it cannot be published")
    func unpublishedError() async {
        await #expect(throws: DiskFull.self) {
            try await ControlPlaneNotifier.api(ScriptedDriver([nil, .busy])).withNotification(
                "instance_restart", request: .sample, payload: ["instance_id": "i-1"]
            ) { _ in throw DiskFull() }
        }
    }

    // MARK: Catalogues

    @Test("An operation without a start event publishes its outcome only")
    func noStartEvent() async throws {
        let driver = TestDriver()
        let catalogues = try Catalogues([
            Catalogue(
                service: "magnetodb", description: "Tables.",
                operations: [
                    OperationDefinition(
                        key: "table_delete", start: nil,
                        end: EventDefinition(eventType: "magnetodb.table.delete.end", fields: []),
                        error: EventDefinition(
                            eventType: "magnetodb.table.delete.error", priority: .error, fields: []))
                ])
        ])
        let notification = try await ControlPlaneNotifier.api(driver, catalogues: catalogues).start(
            "magnetodb.table_delete", request: .sample)
        #expect(driver.notifications.isEmpty)
        try await notification.end()
        #expect(driver.notifications.map(\.eventType) == ["magnetodb.table.delete.end"])
    }

    @Test("Events that are switched off are checked and not published")
    func switchedOffEvents() async throws {
        let driver = TestDriver()
        let catalogues = try Catalogues(
            [.dbaas, .trove], switchedOff: ["dbaas.instance_restart.*", "dbaas.quotas"])
        let api = ControlPlaneNotifier.api(driver, catalogues: catalogues)
        await #expect(throws: FieldError.self) { try await api.start("instance_restart", request: .sample) }
        try await api.withNotification("instance_restart", request: .sample, payload: ["instance_id": "i"]) { _ in }
        let quota = try await api.notify("dbaas.quotas", payload: Self.quota)
        #expect(!quota.isPublished)
        #expect(driver.notifications.isEmpty)
    }

    @Test("An unknown operation is named, and the error for an unknown event is bounded")
    func unknownNames() async {
        let api = ControlPlaneNotifier.api(TestDriver())
        let operation = await #expect(throws: UnknownEventError.self) {
            try await api.start("instance_restrat", request: .sample)
        }
        #expect(operation?.name == "instance_restrat" && operation?.isOperation == true)
        let event = await #expect(throws: UnknownEventError.self) {
            try await api.notify(String(repeating: "x", count: 10_000), payload: [:])
        }
        #expect("\(String(describing: event))".utf8.count < 300)
    }

    @Test("A field that is left out is logged by its name, without its value")
    func undeclaredFieldLogged() async throws {
        let log = NIOLockedValueBox<[String]>([])
        var logger = Logger(label: "test") { _ in LineRecorder(lines: log) }
        logger.logLevel = .debug
        let api = ControlPlaneNotifier.api(TestDriver(), logger: logger)
        let notification = try await api.start(
            "instance_restart", request: .sample, payload: ["instance_id": "i", "password": "hunter2"])
        #expect(notification.undeclaredFields == ["password"])
        let lines = log.withLockedValue { $0 }
        #expect(lines.count == 1)
        #expect(lines.first?.contains("password") == true && lines.first?.contains("hunter2") == false)
    }

    // MARK: Standalone events

    private static let quota: JSONObject = [
        "resource": "volumes", "in_use": 3, "reserved": 0, "limit": 10, "updated": "2015-06-28T05:54:52Z",
    ]

    @Test("A standalone event is published with its message id, and its fields are checked")
    func standaloneEvent() async throws {
        let driver = TestDriver()
        let messageID = MessageID()
        var payload = Self.quota
        payload["colour"] = "red"
        let sent = try await ControlPlaneNotifier.api(driver).notify(
            "dbaas.quota", payload: payload, messageID: messageID)
        #expect(sent.messageID == messageID && sent.isPublished && sent.undeclaredFields == ["colour"])
        let message = try #require(driver.notifications.first)
        #expect(message.eventType == "dbaas.quota" && message.payload == Self.quota)
        #expect(message.messageID == messageID && message.publisherID == "api.control-1")
        await #expect(throws: FieldError(field: "payload.limit", problem: "must be a whole number, not a boolean")) {
            payload["limit"] = true
            _ = try await ControlPlaneNotifier.api(driver).notify("dbaas.quotas", payload: payload)
        }
    }

    @Test("A request has a unique identifier in oslo's form")
    func requestID() throws {
        let ids = (0..<2).map { _ in APIRequest(tenantID: "t", clientIP: "c").requestID }
        #expect(ids[0] != ids[1])
        for id in ids {
            #expect(id.hasPrefix("req-"))
            #expect(MessageID(String(id.dropFirst(4)))?.description == String(id.dropFirst(4)))
        }
    }

    // MARK: Retry timeout

    @Test("A busy driver is retried, and the other drivers are not")
    func busyDriver() async throws {
        let (busy, ready) = (ScriptedDriver([.busy, .busy]), ScriptedDriver())
        let api = ControlPlaneNotifier.api(busy, ready, retryTimeout: .seconds(60))
        _ = try await api.start("instance_restart", request: .sample, payload: ["instance_id": "i-1"])
        #expect(busy.attempts.count == 3 && Set(busy.attempts).count == 1)
        #expect(ready.attempts.count == 1 && ready.attempts == [busy.attempts[0]])
    }

    @Test("A notification that can never be accepted is tried once")
    func permanentError() async throws {
        let driver = ScriptedDriver([.tooLarge])
        let error = await #expect(throws: StartError.self) {
            try await ControlPlaneNotifier.api(driver, retryTimeout: .seconds(60)).start(
                "instance_restart", request: .sample, payload: ["instance_id": "i-1"])
        }
        #expect(error?.cause == .tooLarge && error?.isRetryable == false)
        #expect(driver.attempts.count == 1)
    }

    @Test("Cancellation ends the retries")
    func cancelledRetries() async throws {
        let driver = ScriptedDriver(Array(repeating: .busy, count: 1_000_000))
        let api = ControlPlaneNotifier.api(driver, retryTimeout: .seconds(3600))
        let start = Task {
            try await api.start("instance_restart", request: .sample, payload: ["instance_id": "i-1"])
        }
        start.cancel()
        await #expect(throws: StartError.self) { try await start.value }
        #expect(driver.attempts.count >= 1)
    }
}
