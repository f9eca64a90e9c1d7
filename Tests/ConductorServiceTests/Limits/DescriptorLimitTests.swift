// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ConductorService

@Suite struct DescriptorLimitTests {
    @Test(
        "The plan raises the limit as far as needed, or lowers the connections to fit",
        arguments: [
            // The limit is sufficient.
            (20_000, 20_000, DescriptorLimit.Plan(raiseTo: nil, connections: 10_000, others: 0)),
            (10_100, 500_000, DescriptorLimit.Plan(raiseTo: nil, connections: 10_000, others: 0)),
            // The limits that systemd sets.
            (1024, 524_288, DescriptorLimit.Plan(raiseTo: 10_100, connections: 10_000, others: 0)),
            // Up to the hard limit.
            (1024, 4096, DescriptorLimit.Plan(raiseTo: 4096, connections: 3996, others: 0)),
            (4096, 4096, DescriptorLimit.Plan(raiseTo: nil, connections: 3996, others: 0)),
            (64, 64, DescriptorLimit.Plan(raiseTo: nil, connections: 1, others: 0)),
            (1024, Int.max, DescriptorLimit.Plan(raiseTo: 10_100, connections: 10_000, others: 0)),
        ])
    func connectionsThatFit(soft: Int, hard: Int, plan: DescriptorLimit.Plan) {
        #expect(DescriptorLimit(soft: soft, hard: hard).plan(connections: 10_000, reserve: 100) == plan)
    }

    @Test(
        "Newcomers get a quarter of the descriptors where not all connections fit",
        arguments: [
            (20_000, 20_000, DescriptorLimit.Plan(raiseTo: nil, connections: 10_000, others: 4000)),
            (1024, 524_288, DescriptorLimit.Plan(raiseTo: 14_100, connections: 10_000, others: 4000)),
            // Newcomers get a quarter.
            (1024, 4100, DescriptorLimit.Plan(raiseTo: 4100, connections: 3000, others: 1000)),
            (120, 120, DescriptorLimit.Plan(raiseTo: nil, connections: 15, others: 5)),
            (64, 64, DescriptorLimit.Plan(raiseTo: nil, connections: 1, others: 2)),
        ])
    func descriptorsForNewcomers(soft: Int, hard: Int, plan: DescriptorLimit.Plan) {
        let limit = DescriptorLimit(soft: soft, hard: hard)
        #expect(limit.plan(connections: 10_000, others: 4000, reserve: 100) == plan)
    }

    @Test(
        "Limits that fit stay as they are set, also when there are more handshakes than pending connections",
        arguments: [
            // Connections, handshakes and pending connections: as set; the number that fits of the first and of the
            // other two; the result.
            ((10_000, 1000, 100), (10_000, 1100), (10_000, 1000, 100)),
            ((10_000, 100, 1000), (10_000, 1100), (10_000, 100, 1000)),
            ((10_000, 1000, 100), (500, 1100), (500, 1000, 100)),
            ((10_000, 1000, 100), (500, 300), (500, 150, 100)),
            ((10_000, 100, 1000), (500, 300), (500, 100, 200)),
            ((10_000, 100, 1000), (1, 2), (1, 1, 1)),
        ])
    func lowered(set: (Int, Int, Int), fits: (Int, Int), lowered: (Int, Int, Int)) {
        var limits = ConnectionLimits()
        (limits.connections, limits.handshakes, limits.pendingConnections) = set
        limits.lower(to: DescriptorLimit.Plan(raiseTo: nil, connections: fits.0, others: fits.1))
        #expect((limits.connections, limits.handshakes, limits.pendingConnections) == lowered)
    }

    @Test("This process has a descriptor limit")
    func currentLimit() throws {
        let limit = try #require(DescriptorLimit.current())
        #expect(limit.soft > 2 && limit.soft <= limit.hard)
    }
}
