// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import CommandExecution

@Suite("CommandSupervisionStateMachine")
struct CommandSupervisionStateMachineTests {
    private let start = ContinuousClock.now
    private let terminate: Int32 = 15
    private let interrupt: Int32 = 2

    @Test("Before the operation begins, a signal ends the program as by default")
    func preparing() {
        var machine = CommandSupervisionStateMachine()
        #expect(machine.received(self.terminate, isFromTerminal: false, now: self.start) == .endProgram)
        #expect(machine.received(self.interrupt, isFromTerminal: true, now: self.start) == .endProgram)
    }

    @Test("A signal that the caller blocks is kept for the command, even before the operation begins")
    func blocked() {
        var machine = CommandSupervisionStateMachine()
        for _ in 0..<2 {
            let action = machine.received(self.terminate, isFromTerminal: false, isBlocked: true, now: self.start)
            #expect(action == .none)
        }
        machine.operationBegins()
        #expect(machine.started() == [self.terminate])
    }

    @Test("Signals that arrive before the command starts are passed to it afterwards, each once")
    func starting() {
        var machine = CommandSupervisionStateMachine()
        machine.operationBegins()
        for _ in 0..<3 {
            #expect(machine.received(self.terminate, isFromTerminal: false, now: self.start) == .none)
            #expect(machine.received(self.interrupt, isFromTerminal: true, now: self.start) == .none)
        }
        #expect(machine.started() == [self.terminate, self.interrupt])
    }

    @Test("A signal to a running command is forwarded, unless the terminal sends it to the command too")
    func running() {
        var machine = CommandSupervisionStateMachine()
        machine.operationBegins()
        #expect(machine.started().isEmpty)
        #expect(machine.received(self.interrupt, isFromTerminal: false, now: self.start) == .passOn)
        #expect(machine.received(self.interrupt, isFromTerminal: true, now: self.start) == .none)
    }

    @Test("A signal within a second of the command's end is ignored; a later one ends the wait")
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

    @Test("If no command was started, a signal ends the wait")
    func notStarted() {
        var machine = CommandSupervisionStateMachine()
        machine.operationBegins()
        #expect(machine.notStarted() == .none)
        #expect(machine.received(self.terminate, isFromTerminal: false, now: self.start) == .stopWaiting)
    }

    @Test("A signal that arrived before a failed start ends the wait, once", arguments: [false, true])
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
