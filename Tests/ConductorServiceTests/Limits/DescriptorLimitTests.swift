import Testing

@testable import ConductorService

@Suite struct DescriptorLimitTests {
    @Test(arguments: [
        // Enough is enough.
        (20_000, 20_000, DescriptorLimit.Plan(raiseTo: nil, connections: 10_000)),
        (10_100, 500_000, DescriptorLimit.Plan(raiseTo: nil, connections: 10_000)),
        // What systemd gives.
        (1024, 524_288, DescriptorLimit.Plan(raiseTo: 10_100, connections: 10_000)),
        // As far as it goes.
        (1024, 4096, DescriptorLimit.Plan(raiseTo: 4096, connections: 3996)),
        (4096, 4096, DescriptorLimit.Plan(raiseTo: nil, connections: 3996)),
        (64, 64, DescriptorLimit.Plan(raiseTo: nil, connections: 1)),
        (1024, Int.max, DescriptorLimit.Plan(raiseTo: 10_100, connections: 10_000)),
    ])
    func whatFits(soft: Int, hard: Int, plan: DescriptorLimit.Plan) {
        #expect(DescriptorLimit(soft: soft, hard: hard).plan(connections: 10_000, reserve: 100) == plan)
    }

    @Test func thisProcessHasALimit() throws {
        let limit = try #require(DescriptorLimit.current())
        #expect(limit.soft > 2 && limit.soft <= limit.hard)
    }
}
