// SPDX-License-Identifier: Apache-2.0

import ContextSigning
import DriverErrors
import Logging
import NIOConcurrencyHelpers
public import Notifications

/// The notification object of one operation, as in section 1.2.9 of Trove's ceilometer-integration spec. It is created
/// from a REST request and publishes the start. Then it either publishes the outcome, or its ``context`` is handed off
/// to a guest, which reports the outcome.
///
/// Every event keeps its message id, however many times it is sent. ``ControlPlaneNotifier`` creates these objects.
public final class APINotification: Sendable {
    private struct State {
        var stateMachine: NotificationStateMachine
        var fields = JSONObject()
        var undeclared: [String]
    }

    /// The operation and everything else that the guest needs; the payload holds declared fields only, unless the
    /// context was signed before. Reading this property changes nothing: call ``handOff()`` when another party reports
    /// the outcome.
    public let context: NotificationContext
    /// The identifier of the start event.
    public let startMessageID: MessageID
    /// The identifier of the outcome, if it is published here. A guest creates its own identifier.
    public let outcomeMessageID: MessageID
    private let operation: Catalogues.Operation
    private let sender: EventSender
    private let startMessage: NotificationMessage?
    private let state: NIOLockedValueBox<State>
    /// The maximum number of fields, more than any event of the catalogues declares. It bounds the memory that a faulty
    /// loop can use.
    private static let fieldLimit = 64

    /// The signer of a context, and the instance to sign it for, if known.
    struct Signature {
        var signer: ContextSigner
        var instanceID: String?
    }

    /// - Parameters:
    ///   - signature: signs the context, unless it is signed already.
    ///   - isStarted: whether another party has published the start.
    /// - Throws: `FieldError` naming a field of the start that is missing or mistyped, or an identifier that is too
    ///   long; ``SigningKeyError``.
    init(
        operation: Catalogues.Operation, context: NotificationContext, signature: Signature?, sender: EventSender,
        isStarted: Bool
    ) throws {
        // Check here: a conductor would reject the outcome, which would be lost.
        try context.checkIdentifiers()
        let (payload, undeclared) = operation.definition.declared(of: context.payload)
        var context = context
        // A signed payload must stay unchanged.
        if context.token == nil { context.payload = payload }
        if let signature, context.token == nil {
            context = try signature.signer.sign(
                context, instanceID: signature.instanceID ?? context.payload["instance_id"]?.nonEmptyString)
        }
        self.context = context
        self.operation = operation
        self.sender = sender
        self.startMessageID = MessageID()
        self.outcomeMessageID = MessageID()
        if isStarted {
            self.startMessage = nil
        } else {
            // The start is checked even when the event is switched off: the guest's outcome needs the same fields.
            let start = try operation.startNotification(
                context: context, origin: sender.origin, messageID: self.startMessageID, timestamp: .now())
            self.startMessage = operation.isPublished(.start) ? start?.message : nil
        }
        self.state = NIOLockedValueBox(
            State(stateMachine: NotificationStateMachine(isStarted: isStarted), undeclared: undeclared))
        sender.logUndeclared(undeclared, of: context.operation)
    }

    /// The names of given fields, of start and outcome, that none of the operation's events declares. They were left
    /// out.
    public var undeclaredFields: [String] { self.state.withLockedValue { $0.undeclared } }

    /// Whether the outcome can still be published here: it has not begun, and the context was not handed off.
    package var isOpen: Bool { self.state.withLockedValue { $0.stateMachine.isOpen } }

    /// Publishes the start, and returns once every driver has confirmed it. Returns at once when the start was
    /// published before, when the operation has no start event, or when the event is switched off. A call after an
    /// error sends the same message again.
    ///
    /// An end may be published even if the start could not be.
    ///
    /// - Throws: `DriverError`; ``NotificationMisuseError`` while another call is publishing the start.
    public func start() async throws {
        guard try self.change({ try $0.stateMachine.beginStart() }) else { return }
        do {
            if let startMessage { try await self.sender.send(startMessage) }
        } catch {
            self.state.withLockedValue { $0.stateMachine.startEnded(isPublished: false) }
            throw error
        }
        self.state.withLockedValue { $0.stateMachine.startEnded(isPublished: true) }
    }

    // MARK: The outcome

    /// Sets a field of the end event (or of the error event, if the operation fails).
    ///
    /// - Returns: false when 64 fields are set already and this new one was not added.
    @discardableResult
    public func set(_ field: String, to value: JSONValue) -> Bool {
        self.state.withLockedValue { state in
            guard state.fields[field] != nil || state.fields.members.count < Self.fieldLimit else { return false }
            state.fields[field] = value
            return true
        }
    }

    /// Publishes the end event of the successful operation, and returns once every driver has confirmed it, or at once
    /// when the event is switched off.
    ///
    /// After a retryable `DriverError` call it again: it sends the first call's message again, with the same id, and
    /// ignores the payload. After any other error nothing is decided, and the payload can be corrected.
    ///
    /// - Parameter payload: the end fields; they override those of ``set(_:to:)``.
    /// - Throws: `DriverError`; `FieldError` naming a field that is missing or mistyped;
    ///   ``NotificationMisuseError`` for a second outcome.
    public func end(_ payload: JSONObject = JSONObject()) async throws {
        try await self.publishOutcome { .end(payload: $0.adding(payload)) }
    }

    /// Publishes the error event of the failed operation. Retries and errors work as for ``end(_:)``.
    ///
    /// - Parameters:
    ///   - error: the operation's error; `ExceptionInfo.init(_:fileID:line:)` describes its conversion.
    ///   - payload: further fields; they override those of ``set(_:to:)``.
    ///   - fileID: the caller's file; part of the trace.
    ///   - line: the caller's line; part of the trace.
    public func error(
        _ error: any Error, payload: JSONObject = JSONObject(), fileID: String = #fileID, line: Int = #line
    ) async throws {
        try await self.error(ExceptionInfo(error, fileID: fileID, line: line), payload: payload)
    }

    /// Publishes the error event of the operation with this type, text and trace. Retries and errors work as for
    /// ``end(_:)``.
    public func error(_ exception: ExceptionInfo, payload: JSONObject = JSONObject()) async throws {
        try await self.publishOutcome { .error(exception, payload: $0.adding(payload)) }
    }

    /// Publishes what remains when the operation's code has returned: nothing when the code published the outcome or
    /// handed off the context, the same outcome again when publishing it failed, otherwise an end.
    func endUnlessDecided() async throws {
        let (isOpen, unpublished) = self.state.withLockedValue {
            ($0.stateMachine.isOpen, $0.stateMachine.unpublishedPhase)
        }
        switch unpublished {
        case nil: if isOpen { try await self.end() }
        case .error?: try await self.error(ExceptionInfo(etype: "", value: ""))
        case .some: try await self.end()
        }
    }

    private func publishOutcome(_ outcome: (JSONObject) -> OperationOutcome) async throws {
        let message = try self.change { state in
            let outcome = outcome(state.fields)
            var undeclared: [String] = []
            let message = try state.stateMachine.begin(outcome.phase) {
                let checked = try self.operation.notification(
                    of: outcome, context: self.context, origin: self.sender.origin, messageID: self.outcomeMessageID,
                    timestamp: .now())
                undeclared = checked.undeclaredFields
                return self.operation.isPublished(outcome.phase) ? checked.message : nil
            }
            for name in undeclared where !state.undeclared.contains(where: { $0.hasSameBytes(as: name) }) {
                state.undeclared.append(name)
            }
            self.sender.logUndeclared(undeclared, of: self.context.operation)
            return message
        }
        var failure: DriverError?
        do throws(DriverError) {
            if let message { try await self.sender.send(message) }
        } catch {
            failure = error
        }
        self.state.withLockedValue { $0.stateMachine.outcomeEnded(failure) }
        if let failure { throw failure }
    }

    // MARK: Handing off

    /// Hands off the outcome to another party, and returns the context that this party needs.
    ///
    /// - Throws: ``NotificationMisuseError`` when the outcome was begun here, or the context was handed off already.
    public func handOff() throws -> NotificationContext {
        try self.change { state in
            try state.stateMachine.beginHandoff()
            state.stateMachine.recordHandoffEnd(isHandedOff: true)
        }
        return self.context
    }

    /// Hands off the context with a call. When the call throws, the context counts as not handed off, and the outcome
    /// must still be published here. A call that may have arrived although it failed must not throw out of the closure,
    /// or both sides would publish an outcome.
    ///
    /// - Parameters:
    ///   - isolation: the actor that the call is made on: the caller's.
    ///   - call: sends the context to the party that will report the outcome.
    /// - Returns: the call's result.
    /// - Throws: the call's error; ``NotificationMisuseError`` when the outcome was begun here, or the context was
    ///   handed off already.
    @discardableResult
    public func handOff<Success>(
        isolation: isolated (any Actor)? = #isolation, to call: (NotificationContext) async throws -> Success
    ) async throws -> Success {
        try self.change { try $0.stateMachine.beginHandoff() }
        do {
            let success = try await call(self.context)
            self.state.withLockedValue { $0.stateMachine.recordHandoffEnd(isHandedOff: true) }
            return success
        } catch {
            self.state.withLockedValue { $0.stateMachine.recordHandoffEnd(isHandedOff: false) }
            throw error
        }
    }

    /// Changes the state, and converts a misuse into a ``NotificationMisuseError``.
    private func change<Result>(_ body: (inout State) throws -> Result) throws -> Result {
        do {
            return try self.state.withLockedValue(body)
        } catch let misuse as NotificationStateMachine.Misuse {
            let code: NotificationMisuseError.Code
            switch misuse {
            case .inProgress: code = .inProgress
            case .outcomeDecided: code = .outcomeDecided
            case .handedOff: code = .handedOff
            }
            throw NotificationMisuseError(code, self.context.operation)
        }
    }
}

extension JSONValue {
    fileprivate var nonEmptyString: String? { self.string.flatMap { $0.isEmpty ? nil : $0 } }
}

extension JSONObject {
    /// Returns these members, overridden and extended by the others.
    func adding(_ others: JSONObject) -> JSONObject {
        var sum = self
        for member in others.members { sum[member.name] = member.value }
        return sum
    }
}
