// SPDX-License-Identifier: Apache-2.0

import GuestAgent
import GuestSpool
import LogTesting
import Logging
import ServiceLifecycle

/// An agent that runs during a test.
struct AgentRun {
    let agent: GuestAgent
    private let group: ServiceGroup
    private let task: Task<Void, any Error>

    init(_ configuration: GuestAgent.Configuration, _ outbox: any Outbox) throws {
        let logger = Logger.quiet
        self.init(try GuestAgent(configuration: configuration, outbox: outbox, logger: logger), logger)
    }

    init(_ agent: GuestAgent, _ logger: Logger) {
        let group = ServiceGroup(configuration: .init(services: [.init(service: agent)], logger: logger))
        self.agent = agent
        self.group = group
        self.task = Task { try await group.run() }
    }

    /// Shuts the agent down gracefully, and waits until it has delivered the waiting outcomes.
    func drained() async throws {
        await self.group.triggerGracefulShutdown()
        try await self.task.value
    }

    /// Ends the agent as a crash would, without delivering the waiting outcomes.
    func abandoned() async {
        self.task.cancel()
        _ = await self.task.result
    }
}
