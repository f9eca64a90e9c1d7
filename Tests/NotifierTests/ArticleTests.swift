// SPDX-License-Identifier: Apache-2.0

import ContextSigning
import Foundation
import LogTesting
import Logging
import Notifications
import Notifier
import RelayTesting
import ServiceLifecycle
import Testing

/// The examples of the articles in Notifier.docc, word for word except for drivers and paths.
@Suite(.timeLimit(.minutes(1))) struct ArticleTests {
    private struct RestartFailed: Error {}

    private let logger = Logger.quiet
    private let request = APIRequest.sample
    private let origin = NotificationOrigin(
        publisherID: "api.control-1", serverType: "api", serverIP: "192.0.2.1:8779")

    private func restart() async throws {}
    private func callGuest(_ method: String, _ context: JSONObject) async throws {}

    @Test("This file has every example of the articles")
    func examples() throws {
        let examples = try ArticleExamples(module: "Notifier")
        #expect(examples.count > 0)
        let missing = try examples.missing(
            in: #filePath,
            replacing: [
                #"Logger(label: "api")"#: "self.logger",
                "try Notifier(names: [.log], logger: logger)": "Notifier(drivers: [driver])",
                #""/etc/my-api/context-2026.pem""#: "file",
            ])
        #expect(missing.isEmpty, "\(missing)")
    }

    @Test("The program of the first notification publishes a start and an end")
    func firstNotification() async throws {
        let driver = TestDriver()
        let logger = self.logger
        let notifier = Notifier(drivers: [driver])
        let services = ServiceGroup(services: [notifier], logger: logger)
        async let running: Void = services.run()

        let api = ControlPlaneNotifier(
            notifier,
            origin: NotificationOrigin(publisherID: "api.control-1", serverType: "api", serverIP: "192.0.2.1:8779"),
            logger: logger)
        let request = APIRequest(tenantID: "tenant-1", userID: "user-1", clientIP: "198.51.100.7")
        try await api.withNotification("instance_restart", request: request, payload: ["instance_id": "i-1"]) { _ in
            logger.info("Restarting the instance")
        }

        await services.triggerGracefulShutdown()
        try await running
        #expect(
            driver.notifications.map(\.eventType) == ["dbaas.instance_restart.start", "dbaas.instance_restart.end"])
    }

    @Test("The notifiers of the examples can be created")
    func notifiers() throws {
        func broker() throws -> Notifier {
            let notifier = try Notifier(
                names: [.messagingv2], messaging: .init(transportURL: "rabbit://trove:PASSWORD@rabbit-1/trove?ssl=1"),
                logger: logger)
            return notifier
        }
        #expect(try broker().drivers.map(\.name) == ["messagingv2"])
        // The one that writes lines, which this test does not want in its own output.
        #expect(try Notifier(names: [.log], logger: self.logger).drivers.map(\.name) == ["log"])
        let driver = TestDriver()
        let notifier = Notifier(drivers: [driver])
        #expect(notifier.drivers.count == 1)
    }

    @Test("The example of the overview publishes a start and an end")
    func overview() async throws {
        let driver = TestDriver()
        let api = ControlPlaneNotifier.api(driver)
        try await api.withNotification("instance_restart", request: request, payload: ["instance_id": "i-1"]) { _ in
            try await restart()
        }
        #expect(driver.notifications.count == 2)
    }

    @Test("The example of a handoff publishes the start alone")
    func handOff() async throws {
        let driver = TestDriver()
        let api = ControlPlaneNotifier.api(driver)
        let notification = try await api.start(
            "database_create", request: request, payload: ["instance_id": "i-1", "dbname": "shop"])
        try await notification.handOff { context in
            try await callGuest("create_database", context.json)
        }
        #expect(driver.notifications.map(\.eventType) == ["dbaas.database_create.start"])
    }

    @Test("The example of a task manager publishes an end, or the error", arguments: [false, true])
    func resuming(fails: Bool) async throws {
        let driver = TestDriver()
        let api = ControlPlaneNotifier.api(driver)
        let context = try api.notification(
            "instance_restart", request: self.request, payload: ["instance_id": "i-1"]
        ).context
        func restart() async throws {
            if fails { throw RestartFailed() }
        }
        func run() async throws {
            let notification = try api.notification(resuming: context)
            do {
                try await restart()
            } catch {
                try await notification.error(error)
                throw error
            }
            try await notification.end()
        }
        if fails {
            await #expect(throws: RestartFailed.self) { try await run() }
        } else {
            try await run()
        }
        #expect(driver.notifications.map(\.eventType) == ["dbaas.instance_restart.\(fails ? "error" : "end")"])
    }

    @Test("The example of a signer signs the contexts")
    func signer() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "key-\(UUID().uuidString).pem").path
        // The private key of RFC 8410, section 10.3.
        let pem = """
            -----BEGIN PRIVATE KEY-----
            MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
            -----END PRIVATE KEY-----

            """
        let isWritten = FileManager.default.createFile(
            atPath: file, contents: Data(pem.utf8), attributes: [.posixPermissions: 0o600])
        defer { try? FileManager.default.removeItem(atPath: file) }
        #expect(isWritten)
        let notifier = Notifier(drivers: [TestDriver()])
        let key = try SigningKey(kid: "2026", algorithm: .edDSA, file: file)
        let api = ControlPlaneNotifier(
            notifier, origin: origin, signer: try ContextSigner(key: key), logger: logger)
        let notification = try api.notification(
            "instance_restart", request: self.request, payload: ["instance_id": "i-1"])
        #expect(notification.context.token != nil)
    }

    @Test("The example of a start that fails continues without it")
    func startAnyway() async throws {
        let driver = ScriptedDriver([.busy])
        let api = ControlPlaneNotifier.api(driver)
        func startAnyway(_ request: APIRequest) async throws -> APINotification {
            do {
                return try await api.start("instance_restart", request: request, payload: ["instance_id": "i-1"])
            } catch let error as StartError where error.cause.isRetryable {
                logger.warning("Continuing without a start", metadata: ["error": "\(error)"])
                return error.notStarted[0]
            }
        }
        try await startAnyway(self.request).end()
        #expect(
            driver.attempts.map(\.eventType) == ["dbaas.instance_restart.start", "dbaas.instance_restart.end"])
    }

    @Test("The example of an end that fails publishes it again, under the same id")
    func unpublishedEnd() async throws {
        let driver = ScriptedDriver([nil, .busy])
        let api = ControlPlaneNotifier.api(driver)
        do {
            try await api.withNotification("instance_restart", request: request, payload: ["instance_id": "i-1"]) { _ in
                try await restart()
            }
        } catch let error as UnpublishedEndError {
            try await error.notification.end()
        }
        #expect(driver.attempts.count == 3 && driver.attempts[1] == driver.attempts[2])
    }
}
