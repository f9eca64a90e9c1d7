// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import CommandExecution

@Suite("What a signal to exec means")
struct CommandSupervisionStateMachineTests {
    private let start = ContinuousClock.now
    private let terminate: Int32 = 15
    private let interrupt: Int32 = 2

    @Test("Before the operation begins a signal ends the program as it does by default")
    func preparing() {
        var machine = CommandSupervisionStateMachine()
        #expect(machine.received(self.terminate, isFromTerminal: false, now: self.start) == .endProgram)
        #expect(machine.received(self.interrupt, isFromTerminal: true, now: self.start) == .endProgram)
    }

    @Test("A signal that the caller had blocked is for the command, whenever it comes")
    func blocked() {
        var machine = CommandSupervisionStateMachine()
        for _ in 0..<2 {
            let action = machine.received(self.terminate, isFromTerminal: false, isBlocked: true, now: self.start)
            #expect(action == .none)
        }
        machine.operationBegins()
        #expect(machine.started() == [self.terminate])
    }

    @Test("What comes before the command has started reaches it afterwards, each signal once")
    func starting() {
        var machine = CommandSupervisionStateMachine()
        machine.operationBegins()
        for _ in 0..<3 {
            #expect(machine.received(self.terminate, isFromTerminal: false, now: self.start) == .none)
            #expect(machine.received(self.interrupt, isFromTerminal: true, now: self.start) == .none)
        }
        #expect(machine.started() == [self.terminate, self.interrupt])
    }

    @Test("A signal to a running command is passed on, unless the terminal has sent it to the command as well")
    func running() {
        var machine = CommandSupervisionStateMachine()
        machine.operationBegins()
        #expect(machine.started().isEmpty)
        #expect(machine.received(self.interrupt, isFromTerminal: false, now: self.start) == .passOn)
        #expect(machine.received(self.interrupt, isFromTerminal: true, now: self.start) == .none)
    }

    @Test("A signal within a second of the command's end was for the command, a later one ends the wait")
    func ended() {
        var machine = CommandSupervisionStateMachine()
        machine.operationBegins()
        _ = machine.started()
        machine.ended(now: self.start)
        let soon = self.start + .milliseconds(999)
        #expect(machine.received(self.terminate, isFromTerminal: false, now: soon) == .none)
        let later = self.start + .seconds(1)
        #expect(machine.received(self.terminate, isFromTerminal: false, now: later) == .stopWaiting)
        #expect(machine.received(self.interrupt, isFromTerminal: true, now: later) == .stopWaiting)
    }

    @Test("Where no command was started a signal ends the wait at once")
    func notStarted() {
        var machine = CommandSupervisionStateMachine()
        machine.operationBegins()
        #expect(machine.notStarted() == .none)
        #expect(machine.received(self.terminate, isFromTerminal: false, now: self.start) == .stopWaiting)
    }

    @Test("A signal that came before a start that failed ends the wait too", arguments: [false, true])
    func pendingAtFailedStart(isBlocked: Bool) {
        var machine = CommandSupervisionStateMachine()
        if !isBlocked { machine.operationBegins() }
        let action = machine.received(self.terminate, isFromTerminal: false, isBlocked: isBlocked, now: self.start)
        #expect(action == .none)
        machine.operationBegins()
        #expect(machine.notStarted() == .stopWaiting)
        #expect(machine.notStarted() == .none, "once")
    }
}
