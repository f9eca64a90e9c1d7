// SPDX-License-Identifier: Apache-2.0

import GuestAgent
import GuestSpool
import Logging
import Notifications
import RelayTesting
import ServiceLifecycle

/// A guest agent that runs during a test.
struct GuestAgentRun {
    let agent: GuestAgent
    private let group: ServiceGroup
    private let task: Task<Void, any Error>

    /// Starts an agent that is configured with the conductor.
    static func start(
        _ conductor: RunningConductor, logger: Logger, redaction: Redaction = .standard
    ) async throws -> GuestAgentRun {
        let certificates = conductor.certificates
        var configuration = GuestAgent.Configuration(
            conductors: [ConductorAddress(host: "127.0.0.1", port: conductor.port)],
            certificateFile: certificates.path("guest.pem"), keyFile: certificates.path("guest.key"),
            caFile: certificates.path("ca.pem"))
        configuration.maximumBackoff = .milliseconds(200)
        configuration.drainTimeout = .seconds(120)
        configuration.redaction = redaction
        let agent = try GuestAgent(configuration: configuration, outbox: MemoryOutbox(), logger: logger)
        let group = ServiceGroup(configuration: .init(services: [.init(service: agent)], logger: logger))
        return GuestAgentRun(agent: agent, group: group, task: Task { try await group.run() })
    }

    /// Waits until the agent has delivered its outcomes and shut down.
    func drained() async throws {
        await self.group.triggerGracefulShutdown()
        try await self.task.value
    }
}
