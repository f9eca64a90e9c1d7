// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import NIOConcurrencyHelpers
import Notifications
import Notifier
import RelayTesting
import Testing

private struct DiskFull: Error {}

/// Keeps what is logged, a line each.
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

/// What a control plane's code calls.
@Suite struct ControlPlaneNotifierTests {
    // MARK: One event for each

    @Test(arguments: [
        ("database_create", "dbname"), ("user_create", "username"), ("user_grant", "database"),
        ("user_change_password", "username"),
    ]) func eachNameIsAnOperationOfItsOwn(operation: String, field: String) async throws {
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

    @Test func oneObjectIsNoListsObject() async throws {
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

    @Test(arguments: Self.wrongLists) func aListThatCannotBeToldIsRefusedBeforeAnythingIsTold(
        list: JSONValue, field: String
    ) async throws {
        let driver = TestDriver()
        let error = await #expect(throws: FieldError.self) {
            try await ControlPlaneNotifier.api(driver).startEach(
                "database_create", request: .sample, payload: ["instance_id": "i", "dbname": list])
        }
        #expect(error?.field == field)
        #expect(driver.notifications.isEmpty)
    }

    @Test func otherListsAreOneEvent() async throws {
        let driver = TestDriver()
        let notifications = try await ControlPlaneNotifier.api(driver).startEach(
            "instance_create", request: .sample,
            payload: [
                "name": "n", "flavor_id": "1", "datastore": "mysql", "datastore_version": "8", "users": ["a", "b"],
            ])
        #expect(notifications.count == 1)
        #expect(driver.notifications.map { $0.payload["users"] } == [["a", "b"]])
    }

    @Test func aBrokerThatFailsInTheMiddleLeavesTheRestToBeStarted() async throws {
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
        // What was told already is not told again.
        for notification in interrupted.started + interrupted.notStarted { try await notification.start() }
        #expect(driver.attempts.map { $0.payload["dbname"] } == ["a", "b", "b", "c"])
        #expect(driver.attempts[1] == driver.attempts[2])
    }

    @Test func anOperationMayEndThoughItsStartWasNotTold() async throws {
        let driver = ScriptedDriver([.busy])
        let error = await #expect(throws: StartError.self) {
            try await ControlPlaneNotifier.api(driver).start(
                "instance_restart", request: .sample, payload: ["instance_id": "i-1"])
        }
        try await error?.notStarted.first?.end()
        #expect(driver.attempts.last?.eventType == "dbaas.instance_restart.end")
    }

    // MARK: Around an operation

    @Test func anOperationThatReturnsHasEnded() async throws {
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

    @Test func anOperationThatThrowsHasFailed() async throws {
        let driver = TestDriver()
        await #expect(throws: DiskFull.self) {
            try await ControlPlaneNotifier.api(driver).withNotification(
                "instance_restart", request: .sample, payload: ["instance_id": "i-1"], fileID: "A/B.swift", line: 3
            ) { _ in throw DiskFull() }
        }
        #expect(
            driver.notifications.last?.payload["exception"] == ["caught at A/B.swift:3", "DiskFull: DiskFull()"])
    }

    @Test func whoHandsOnOrTellsInsideIsLeftAlone() async throws {
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

    @Test func withoutAStartNothingIsRun() async {
        await #expect(throws: StartError.self) {
            try await ControlPlaneNotifier.api(ScriptedDriver([.busy])).withNotification(
                "instance_restart", request: .sample, payload: ["instance_id": "i-1"]
            ) { _ in Issue.record("the operation ran") }
        }
    }

    @Test func anEndThatIsNotToldCanBeToldLater() async throws {
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

    @Test func whatFailedToBeToldInsideIsToldAtTheEnd() async throws {
        let driver = ScriptedDriver([nil, .busy])
        try await ControlPlaneNotifier.api(driver).withNotification(
            "instance_restart", request: .sample, payload: ["instance_id": "i-1"]
        ) { notification in
            await #expect(throws: DriverError.self) { try await notification.error(DiskFull()) }
        }
        #expect(driver.attempts.count == 3 && driver.attempts[1] == driver.attempts[2])
    }

    @Test func theOperationsOwnErrorIsThrownThoughItCannotBeTold() async {
        await #expect(throws: DiskFull.self) {
            try await ControlPlaneNotifier.api(ScriptedDriver([nil, .busy])).withNotification(
                "instance_restart", request: .sample, payload: ["instance_id": "i-1"]
            ) { _ in throw DiskFull() }
        }
    }

    // MARK: Catalogues

    @Test func anOperationWithoutAStartTellsItsOutcomeOnly() async throws {
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

    @Test func whatIsSwitchedOffIsCheckedAndNotTold() async throws {
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

    @Test func unknownNamesAreSaid() async {
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

    @Test func whatIsLeftOutIsLoggedByNameWithoutItsValue() async throws {
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

    // MARK: Events that stand alone

    private static let quota: JSONObject = [
        "resource": "volumes", "in_use": 3, "reserved": 0, "limit": 10, "updated": "2015-06-28T05:54:52Z",
    ]

    @Test func anEventStandsAlone() async throws {
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

    @Test func aRequestHasAnIdentifierOfOslosForm() throws {
        let ids = (0..<2).map { _ in APIRequest(tenantID: "t", clientIP: "c").requestID }
        #expect(ids[0] != ids[1])
        for id in ids {
            #expect(id.hasPrefix("req-"))
            #expect(MessageID(String(id.dropFirst(4)))?.description == String(id.dropFirst(4)))
        }
    }

    // MARK: Retry timeout

    @Test func aDriverThatCannotTakeItNowIsAskedAgainAndTheOthersAreNot() async throws {
        let (busy, ready) = (ScriptedDriver([.busy, .busy]), ScriptedDriver())
        let api = ControlPlaneNotifier.api(busy, ready, retryTimeout: .seconds(60))
        _ = try await api.start("instance_restart", request: .sample, payload: ["instance_id": "i-1"])
        #expect(busy.attempts.count == 3 && Set(busy.attempts).count == 1)
        #expect(ready.attempts.count == 1 && ready.attempts == [busy.attempts[0]])
    }

    @Test func whatCanNeverBeTakenIsTriedOnce() async throws {
        let driver = ScriptedDriver([.tooLarge])
        let error = await #expect(throws: StartError.self) {
            try await ControlPlaneNotifier.api(driver, retryTimeout: .seconds(60)).start(
                "instance_restart", request: .sample, payload: ["instance_id": "i-1"])
        }
        #expect(error?.cause == .tooLarge && error?.isRetryable == false)
        #expect(driver.attempts.count == 1)
    }

    @Test func cancellingEndsThePatience() async throws {
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
