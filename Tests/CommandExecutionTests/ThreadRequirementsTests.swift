// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import CommandExecution

@Suite("Thread requirements of guest-agent")
struct ThreadRequirementsTests {
    /// So a container's small limit is enough on a large machine.
    @Test("The number of threads grows with the processors, up to eight processors")
    func processors() {
        #expect(ThreadRequirements.threads(processors: 1) < ThreadRequirements.threads(processors: 2))
        #expect(ThreadRequirements.threads(processors: 96) == ThreadRequirements.threads(processors: 8))
        #expect(ThreadRequirements.threads(processors: 96) == 26)
    }
}
