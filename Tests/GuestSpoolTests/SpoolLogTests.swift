import Foundation
import Testing

@testable import GuestSpool

/// The write-ahead log, which the writer carries over itself.
@Suite(.timeLimit(.minutes(2))) struct SpoolLogTests {
    @Test func theLogStaysShortHoweverMuchIsWritten() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let text = String(repeating: "x", count: 100_000)
            var longest = 0
            for _ in 0..<300 {
                try await fixture.run(spool, text)
                longest = max(longest, SpoolDirectory.size("\(fixture.file)-wal") ?? 0)
            }
            // A step, what one transaction adds to it, and what came while it was carried over.
            #expect((SpoolFile.logStep...SpoolFile.logStep + (1 << 20)).contains(longest), "\(longest)")
            #expect(SpoolDirectory.size(fixture.file) ?? 0 > 20 << 20)
            try await spool.close()
        }
    }
}
