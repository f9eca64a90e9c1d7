// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import CommandExecution

@Suite("How many threads guest-agent asks for")
struct ThreadDemandTests {
    @Test("It grows with the processors up to eight, so that a container's small limit is enough on a large machine")
    func processors() {
        #expect(ThreadDemand.threads(processors: 1) < ThreadDemand.threads(processors: 2))
        #expect(ThreadDemand.threads(processors: 96) == ThreadDemand.threads(processors: 8))
        #expect(ThreadDemand.threads(processors: 96) == 26)
    }
}
