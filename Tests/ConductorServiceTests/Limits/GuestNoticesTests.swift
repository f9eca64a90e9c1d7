import ConductorRPC
import NIOCore
import Testing

@testable import ConductorService

/// Which of the things that guests can do as often as they like are logged.
@Suite struct GuestNoticesTests {
    private func guest(_ number: Int) -> PeerIdentity { PeerIdentity(names: ["\(number)"]) }

    @Test func oneAMinuteOfEachGuest() {
        var notices = GuestNotices()
        let start = NIODeadline.uptimeNanoseconds(1)
        var logged: [Int?] = [notices.happened(self.guest(1), now: start)]
        for second in [1, 2, 59] as [Int64] {
            logged.append(notices.happened(self.guest(1), now: start + .seconds(second)))
        }
        logged.append(notices.happened(self.guest(2), now: start + .seconds(59)))
        logged.append(notices.happened(self.guest(1), now: start + .seconds(60)))
        logged.append(notices.happened(self.guest(1), now: start + .seconds(120)))
        #expect(logged == [0, nil, nil, nil, 0, 3, 0])
    }

    @Test func whatTheLogHasNoPlaceForIsCounted() {
        var notices = GuestNotices()
        let start = NIODeadline.uptimeNanoseconds(1)
        var asked = 0
        var logged: [Int?] = []
        for (second, hasPlace) in [(0, false), (0, false), (0, true), (1, true), (60, false), (61, true)]
            as [(Int64, Bool)]
        {
            let before = notices.happened(self.guest(1), now: start + .seconds(second)) {
                asked += 1
                return hasPlace
            }
            logged.append(before)
        }
        #expect(logged == [nil, nil, 2, nil, nil, 2])
        // A place is asked for only when a line is due.
        #expect(asked == 5)
    }

    @Test func manyGuestsFillNeitherMemoryNorLog() {
        var notices = GuestNotices()
        let start = NIODeadline.uptimeNanoseconds(1)
        var logged = 0
        for number in 0..<(3 * GuestNotices.limit) where notices.happened(self.guest(number), now: start) != nil {
            logged += 1
        }
        #expect(logged == GuestNotices.limit)
        // The minute of those that were logged is over.
        #expect(notices.happened(self.guest(-1), now: start + .seconds(60)) == 0)
    }
}
