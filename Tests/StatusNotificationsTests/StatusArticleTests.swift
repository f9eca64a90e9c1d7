// SPDX-License-Identifier: Apache-2.0

import Logging
import Notifier
import RelayTesting
import ServiceLifecycle
import StatusNotifications
import Testing

/// The example of StatusNotifications.docc, word for word except for the driver.
@Suite(.timeLimit(.minutes(1))) struct StatusArticleTests {
    @Test("This file has every example of the articles")
    func examples() throws {
        let examples = try ArticleExamples(module: "StatusNotifications")
        #expect(examples.count > 0)
        let missing = try examples.missing(
            in: #filePath, replacing: ["try Notifier(names: [.log], logger: logger)": "Notifier(drivers: [driver])"])
        #expect(missing.isEmpty, "\(missing)")
    }

    @Test("The example publishes the creation of an instance")
    func overview() async throws {
        let driver = TestDriver()

        let logger = Logger(label: "taskmanager")
        let notifier = Notifier(drivers: [driver])
        let services = ServiceGroup(services: [notifier], logger: logger)
        async let running: Void = services.run()

        let instance = DatabaseInstance(
            id: "i-1", name: "shop", tenantID: "tenant-1", userID: "user-1",
            flavor: .init(id: 10, name: "m1.small", memory: 512), volume: .init(size: 2), novaInstanceID: "n-1",
            state: "ACTIVE", createdAt: .now(), region: "RegionOne", availabilityZone: "nova",
            datastore: .manager("mysql"))
        try await notifier.emit(instance.notification(of: .create, publisherID: "taskmanager.control-1"))

        await services.triggerGracefulShutdown()
        try await running

        #expect(driver.notifications.map(\.eventType) == ["trove.instance.create"])
    }
}
