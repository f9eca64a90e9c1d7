import ConductorRPC
import NIOCore
import Testing

@testable import ConductorService

/// Which refusals an operator is told of.
@Suite struct RefusalNoticesTests {
    private func guest(_ number: Int) -> PeerIdentity { PeerIdentity(names: ["\(number)"]) }

    @Test func oneAMinuteOfEachGuest() {
        var notices = RefusalNotices()
        let start = NIODeadline.uptimeNanoseconds(1)
        var told: [Int?] = [notices.refused(self.guest(1), now: start)]
        for second in [1, 2, 59] as [Int64] {
            told.append(notices.refused(self.guest(1), now: start + .seconds(second)))
        }
        told.append(notices.refused(self.guest(2), now: start + .seconds(59)))
        told.append(notices.refused(self.guest(1), now: start + .seconds(60)))
        told.append(notices.refused(self.guest(1), now: start + .seconds(120)))
        #expect(told == [0, nil, nil, nil, 0, 3, 0])
    }

    @Test func manyGuestsFillNeitherMemoryNorLog() {
        var notices = RefusalNotices()
        let start = NIODeadline.uptimeNanoseconds(1)
        var told = 0
        for number in 0..<(3 * RefusalNotices.limit) where notices.refused(self.guest(number), now: start) != nil {
            told += 1
        }
        #expect(told == RefusalNotices.limit)
        // Those who were told of have had their minute.
        #expect(notices.refused(self.guest(-1), now: start + .seconds(60)) == 0)
    }
}
