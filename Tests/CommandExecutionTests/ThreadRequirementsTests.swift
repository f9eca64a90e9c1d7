// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import CommandExecution

@Suite("How many threads guest-agent asks for")
struct ThreadRequirementsTests {
    @Test("It grows with the processors up to eight, so that a container's small limit is enough on a large machine")
    func processors() {
        #expect(ThreadRequirements.threads(processors: 1) < ThreadRequirements.threads(processors: 2))
        #expect(ThreadRequirements.threads(processors: 96) == ThreadRequirements.threads(processors: 8))
        #expect(ThreadRequirements.threads(processors: 96) == 26)
    }
}
