// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import TLSChannel

/// The times at which certificate files are read again, and what is logged about it.
@Suite struct ReloadStateMachineTests {
    private let start = ContinuousClock.now
    // Two different stamps: of a path that exists, and of one that does not.
    private let one = FileStamps(["/"])
    private let other = FileStamps(["/nonexistent"])

    private func machine() -> ReloadStateMachine {
        var machine = ReloadStateMachine(gracePeriod: .seconds(3))
        _ = machine.looked(self.one, isAsked: false, isFresh: false, now: self.start)
        _ = machine.read(.same, hasMoved: false, isAsked: false, now: self.start)
        return machine
    }

    @Test("Files are read when they changed, were fresh, or a caller requests it")
    func readConditions() {
        var machine = self.machine()
        var answers: [Bool] = []
        answers.append(machine.looked(self.one, isAsked: false, isFresh: false, now: self.start))
        answers.append(machine.looked(self.one, isAsked: true, isFresh: false, now: self.start))
        answers.append(machine.looked(self.other, isAsked: false, isFresh: true, now: self.start))
        answers.append(machine.looked(self.other, isAsked: false, isFresh: false, now: self.start))
        answers.append(machine.looked(self.other, isAsked: false, isFresh: false, now: self.start))
        #expect(answers == [false, true, true, true, false])
    }

    @Test("Unusable files are read again quietly, then logged once for each reason")
    func unusableFiles() {
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

    /// Returns the seconds at which unusable files that stay the same are read, when they are checked every second.
    private func readings(_ outcome: ReloadStateMachine.Outcome, seconds: Int) -> [Int] {
        var machine = self.machine()
        return (0..<seconds).filter { second in
            let now = self.start + .seconds(second)
            guard machine.looked(self.other, isAsked: false, isFresh: false, now: now) else { return false }
            _ = machine.read(outcome, hasMoved: false, isAsked: false, now: now)
            return true
        }
    }

    @Test("Files that stay unusable are read less and less often, at least every 30 seconds")
    func readingIntervals() {
        let readings = self.readings(.bad("a"), seconds: 200)
        #expect(readings.prefix(5) == [0, 1, 2, 3, 4])
        #expect(readings.count < 20)
        #expect(zip(readings, readings.dropFirst()).allSatisfy { $1 - $0 <= 30 })
    }

    @Test("A change is read at once, however long the pause between readings is")
    func changeDuringPause() {
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

    @Test("Files that become usable with time are read again after that time")
    func usableWithTime() {
        // Each reading finds that two seconds remain, so no pause gets longer than that.
        let readings = self.readings(.bad("early", remaining: .seconds(2)), seconds: 100)
        #expect(zip(readings, readings.dropFirst()).allSatisfy { $1 - $0 <= 2 })
    }

    @Test("The result of a requested reading is logged at once")
    func requestedReading() {
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

    @Test("Files that change while they are read are not used, and are read again")
    func changeDuringReading() {
        var machine = self.machine()
        let first = machine.read(.new, hasMoved: true, isAsked: false, now: self.start)
        let readsAgain = machine.looked(self.one, isAsked: false, isFresh: false, now: self.start)
        let second = machine.read(.new, hasMoved: false, isAsked: false, now: self.start + .seconds(1))
        #expect(first == .nothing && readsAgain && second == .use(wasBad: false))
    }

    @Test("Unusable files that are restored to those in use are logged as unchanged")
    func filesRestored() {
        var machine = self.machine()
        _ = machine.read(.bad("a"), hasMoved: false, isAsked: true, now: self.start)
        let verdict = machine.read(.same, hasMoved: false, isAsked: false, now: self.start)
        let next = machine.looked(self.one, isAsked: false, isFresh: false, now: self.start)
        #expect(verdict == .logUnchanged(wasBad: true) && !next)
    }
}
