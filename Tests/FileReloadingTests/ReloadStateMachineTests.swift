// SPDX-License-Identifier: Apache-2.0

import FileReloading
import Testing

/// The times at which files are read again, and what is logged about it.
@Suite struct ReloadStateMachineTests {
    private let start = ContinuousClock.now
    // Two different stamps: of a path that exists, and of one that does not.
    private let one = FileStamps(["/"])
    private let other = FileStamps(["/nonexistent"])

    private func machine() -> ReloadStateMachine {
        var machine = ReloadStateMachine(gracePeriod: .seconds(3))
        _ = machine.recordCheck(self.one, isRequested: false, isFresh: false, now: self.start)
        _ = machine.recordReading(.same, changedDuringReading: false, isRequested: false, now: self.start)
        return machine
    }

    @Test("Files are read when they changed, were fresh, or a caller requests it")
    func readConditions() {
        var machine = self.machine()
        var answers: [Bool] = []
        answers.append(machine.recordCheck(self.one, isRequested: false, isFresh: false, now: self.start))
        answers.append(machine.recordCheck(self.one, isRequested: true, isFresh: false, now: self.start))
        answers.append(machine.recordCheck(self.other, isRequested: false, isFresh: true, now: self.start))
        answers.append(machine.recordCheck(self.other, isRequested: false, isFresh: false, now: self.start))
        answers.append(machine.recordCheck(self.other, isRequested: false, isFresh: false, now: self.start))
        #expect(answers == [false, true, true, true, false])
    }

    @Test("Unusable files are read again quietly, then logged once for each reason")
    func unusableFiles() {
        var machine = self.machine()
        var verdicts: [ReloadStateMachine.Verdict] = []
        for second in [0, 1, 2, 3, 4] {
            let now = self.start + .seconds(second)
            let reads = machine.recordCheck(self.other, isRequested: false, isFresh: false, now: now)
            #expect(reads)
            verdicts.append(
                machine.recordReading(.unusable("mismatch"), changedDuringReading: false, isRequested: false, now: now))
        }
        verdicts.append(
            machine.recordReading(
                .unusable("other"), changedDuringReading: false, isRequested: false, now: self.start + .seconds(5)))
        verdicts.append(
            machine.recordReading(.new, changedDuringReading: false, isRequested: false, now: self.start + .seconds(6)))
        #expect(
            verdicts == [
                .nothing, .nothing, .nothing, .reject("mismatch"), .nothing, .reject("other"), .use(wasUnusable: true),
            ])
    }

    /// Returns the seconds at which unusable files that stay the same are read, when they are checked every second.
    private func readings(_ outcome: ReloadStateMachine.Outcome, seconds: Int) -> [Int] {
        var machine = self.machine()
        return (0..<seconds).filter { second in
            let now = self.start + .seconds(second)
            guard machine.recordCheck(self.other, isRequested: false, isFresh: false, now: now) else { return false }
            _ = machine.recordReading(outcome, changedDuringReading: false, isRequested: false, now: now)
            return true
        }
    }

    @Test("Files that stay unusable are read less and less often, at least every 30 seconds")
    func readingIntervals() {
        let readings = self.readings(.unusable("a"), seconds: 200)
        #expect(readings.prefix(5) == [0, 1, 2, 3, 4])
        #expect(readings.count < 20)
        #expect(zip(readings, readings.dropFirst()).allSatisfy { $1 - $0 <= 30 })
    }

    @Test("A change is read at once, however long the pause between readings is")
    func changeDuringPause() {
        var machine = self.machine()
        for second in 0..<200 {
            let now = self.start + .seconds(second)
            if machine.recordCheck(self.other, isRequested: false, isFresh: false, now: now) {
                _ = machine.recordReading(.unusable("a"), changedDuringReading: false, isRequested: false, now: now)
            }
        }
        let changed = machine.recordCheck(self.one, isRequested: false, isFresh: false, now: self.start + .seconds(200))
        #expect(changed)
    }

    @Test("Files that become usable with time are read again after that time")
    func usableWithTime() {
        // Each reading finds that two seconds remain, so no pause gets longer than that.
        let readings = self.readings(.unusable("early", remaining: .seconds(2)), seconds: 100)
        #expect(zip(readings, readings.dropFirst()).allSatisfy { $1 - $0 <= 2 })
    }

    @Test("The result of a requested reading is logged at once")
    func requestedReading() {
        var machine = self.machine()
        var verdicts: [ReloadStateMachine.Verdict] = []
        for outcome in [ReloadStateMachine.Outcome.unusable("a"), .unusable("a"), .same, .same, .new] {
            verdicts.append(
                machine.recordReading(outcome, changedDuringReading: false, isRequested: true, now: self.start))
        }
        #expect(
            verdicts == [
                .reject("a"), .reject("a"), .logUnchanged(wasUnusable: true), .logUnchanged(wasUnusable: false),
                .use(wasUnusable: false),
            ])
    }

    @Test("Files that change while they are read are not used, and are read again")
    func changeDuringReading() {
        var machine = self.machine()
        let first = machine.recordReading(.new, changedDuringReading: true, isRequested: false, now: self.start)
        let readsAgain = machine.recordCheck(self.one, isRequested: false, isFresh: false, now: self.start)
        let second = machine.recordReading(
            .new, changedDuringReading: false, isRequested: false, now: self.start + .seconds(1))
        #expect(first == .nothing && readsAgain && second == .use(wasUnusable: false))
    }

    @Test("Unusable files that are restored to those in use are logged as unchanged")
    func filesRestored() {
        var machine = self.machine()
        _ = machine.recordReading(.unusable("a"), changedDuringReading: false, isRequested: true, now: self.start)
        let verdict = machine.recordReading(.same, changedDuringReading: false, isRequested: false, now: self.start)
        let next = machine.recordCheck(self.one, isRequested: false, isFresh: false, now: self.start)
        #expect(verdict == .logUnchanged(wasUnusable: true) && !next)
    }
}
