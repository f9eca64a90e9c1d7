// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import TLSChannel

/// When certificate files are read again, and what is said.
@Suite struct ReloadStateMachineTests {
    private let start = ContinuousClock.now
    // Two different sights: a path that is there, and one that is not.
    private let one = FileStamps(["/"])
    private let other = FileStamps(["/nonexistent"])

    private func machine() -> ReloadStateMachine {
        var machine = ReloadStateMachine(gracePeriod: .seconds(3))
        _ = machine.looked(self.one, isAsked: false, isFresh: false, now: self.start)
        _ = machine.read(.same, hasMoved: false, isAsked: false, now: self.start)
        return machine
    }

    @Test func filesAreReadWhenTheyChangeOrWereFreshOrSomebodyAsks() {
        var machine = self.machine()
        var answers: [Bool] = []
        answers.append(machine.looked(self.one, isAsked: false, isFresh: false, now: self.start))
        answers.append(machine.looked(self.one, isAsked: true, isFresh: false, now: self.start))
        answers.append(machine.looked(self.other, isAsked: false, isFresh: true, now: self.start))
        answers.append(machine.looked(self.other, isAsked: false, isFresh: false, now: self.start))
        answers.append(machine.looked(self.other, isAsked: false, isFresh: false, now: self.start))
        #expect(answers == [false, true, true, true, false])
    }

    @Test func badFilesAreReadAgainQuietlyAndThenRefusedOnceAloud() {
        var machine = self.machine()
        var verdicts: [ReloadStateMachine.Verdict] = []
        for second in [0, 1, 2, 3, 4] {
            let now = self.start + .seconds(second)
            let reads = machine.looked(self.other, isAsked: false, isFresh: false, now: now)
            #expect(reads)
            verdicts.append(machine.read(.bad("mismatch"), hasMoved: false, isAsked: false, now: now))
        }
        verdicts.append(machine.read(.bad("other"), hasMoved: false, isAsked: false, now: self.start + .seconds(5)))
        verdicts.append(machine.read(.new, hasMoved: false, isAsked: false, now: self.start + .seconds(6)))
        #expect(
            verdicts == [
                .nothing, .nothing, .nothing, .refuse("mismatch"), .nothing, .refuse("other"), .use(wasBad: true),
            ])
    }

    /// The seconds at which bad files that stay the same are read, of so many when they are looked at every second.
    private func readings(_ outcome: ReloadStateMachine.Outcome, seconds: Int) -> [Int] {
        var machine = self.machine()
        return (0..<seconds).filter { second in
            let now = self.start + .seconds(second)
            guard machine.looked(self.other, isAsked: false, isFresh: false, now: now) else { return false }
            _ = machine.read(outcome, hasMoved: false, isAsked: false, now: now)
            return true
        }
    }

    @Test func filesThatStayBadAreReadEverMoreSeldom() {
        let readings = self.readings(.bad("a"), seconds: 200)
        #expect(readings.prefix(5) == [0, 1, 2, 3, 4])
        #expect(readings.count < 20)
        #expect(zip(readings, readings.dropFirst()).allSatisfy { $1 - $0 <= 30 })
    }

    @Test func aChangeIsReadHoweverLongThePauseIs() {
        var machine = self.machine()
        for second in 0..<200 {
            let now = self.start + .seconds(second)
            if machine.looked(self.other, isAsked: false, isFresh: false, now: now) {
                _ = machine.read(.bad("a"), hasMoved: false, isAsked: false, now: now)
            }
        }
        let changed = machine.looked(self.one, isAsked: false, isFresh: false, now: self.start + .seconds(200))
        #expect(changed)
    }

    @Test func whatOnlyTimeMendsIsReadWhenItIsTime() {
        // It says each time that it is two seconds more: no pause gets longer than that.
        let readings = self.readings(.bad("early", remaining: .seconds(2)), seconds: 100)
        #expect(zip(readings, readings.dropFirst()).allSatisfy { $1 - $0 <= 2 })
    }

    @Test func whoAsksIsAnsweredAtOnce() {
        var machine = self.machine()
        var verdicts: [ReloadStateMachine.Verdict] = []
        for outcome in [ReloadStateMachine.Outcome.bad("a"), .bad("a"), .same, .same, .new] {
            verdicts.append(machine.read(outcome, hasMoved: false, isAsked: true, now: self.start))
        }
        #expect(
            verdicts == [
                .refuse("a"), .refuse("a"), .logUnchanged(wasBad: true), .logUnchanged(wasBad: false),
                .use(wasBad: false),
            ])
    }

    @Test func whatChangedWhileItWasReadIsNotUsed() {
        var machine = self.machine()
        let first = machine.read(.new, hasMoved: true, isAsked: false, now: self.start)
        let readsAgain = machine.looked(self.one, isAsked: false, isFresh: false, now: self.start)
        let second = machine.read(.new, hasMoved: false, isAsked: false, now: self.start + .seconds(1))
        #expect(first == .nothing && readsAgain && second == .use(wasBad: false))
    }

    @Test func goingBackToWhatIsInUseEndsTheComplaint() {
        var machine = self.machine()
        _ = machine.read(.bad("a"), hasMoved: false, isAsked: true, now: self.start)
        let verdict = machine.read(.same, hasMoved: false, isAsked: false, now: self.start)
        let next = machine.looked(self.one, isAsked: false, isFresh: false, now: self.start)
        #expect(verdict == .logUnchanged(wasBad: true) && !next)
    }
}
