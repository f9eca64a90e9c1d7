import ContextSigning
import Logging
import NIOConcurrencyHelpers
public import Notifications

/// The notification object of one operation, as Trove's ceilometer-integration spec, 1.2.9, has it: made from a REST
/// request, it tells the start, and then either the outcome itself or its ``context`` goes on to a guest, which does.
///
/// Every event keeps its message id, however often it is sent. ``ControlPlaneNotifier`` makes these objects.
public final class APINotification: Sendable {
    private struct State {
        var life: NotificationLife
        var fields = JSONObject()
        var undeclared: [String]
    }

    /// The operation and whatever else the guest needs; its payload holds the declared fields only. Reading it is
    /// harmless: ``handOn()`` says that somebody else tells the outcome.
    public let context: NotificationContext
    /// The identifier of the start event.
    public let startMessageID: MessageID
    /// The identifier of the outcome, should it be told here. A guest's has one of the guest's.
    public let outcomeMessageID: MessageID
    private let operation: Catalogues.Operation
    private let sender: EventSender
    private let startMessage: NotificationMessage?
    private let state: NIOLockedValueBox<State>
    /// More than any event of the catalogues declares; it bounds what a loop gone wrong can pile up.
    private static let fieldLimit = 64

    /// Who signs a context, and for which instance if that is known.
    struct Signature {
        var signer: ContextSigner
        var instanceID: String?
    }

    /// - Parameters:
    ///   - signature: signs the context, unless it is signed already.
    ///   - isStarted: whether somebody else has told the start.
    /// - Throws: ``FieldError`` naming a field of the start that is missing or mistyped, or an identifier that is too long;
    ///   ``SigningKeyError``.
    init(
        operation: Catalogues.Operation, context: NotificationContext, signature: Signature?, sender: EventSender,
        isStarted: Bool
    ) throws {
        // Here rather than at the conductor, where the operation's outcome would be lost.
        try context.checkIdentifiers()
        let (payload, undeclared) = operation.definition.declared(of: context.payload)
        var context = context
        // What was signed stays whole.
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
            // Checked even when the event is switched off: the guest's outcome needs the same fields.
            let start = try operation.startNotification(
                context: context, origin: sender.origin, messageID: self.startMessageID, timestamp: .now())
            self.startMessage = operation.isPublished(.start) ? start?.message : nil
        }
        self.state = NIOLockedValueBox(State(life: NotificationLife(isStarted: isStarted), undeclared: undeclared))
        sender.logUndeclared(undeclared, of: context.operation)
    }

    /// The names of fields that were given, of the start and of the outcome, and that none of the operation's events
    /// declares: they were left out.
    public var undeclaredFields: [String] { self.state.withLockedValue { $0.undeclared } }

    /// Whether the outcome is still to be told here: not yet begun, and not handed on.
    public var isOpen: Bool { self.state.withLockedValue { $0.life.isOpen } }

    /// Tells the start, and returns when every driver vouches for it; at once when that has happened, when the operation
    /// has no start event, or when it is switched off. Called again after an error, it sends the same message.
    ///
    /// An end may be told although the start could not be.
    ///
    /// - Throws: ``DriverError``; ``NotificationUseError`` when the start is being told at this moment.
    public func start() async throws {
        guard try self.change({ try $0.life.beginStart() }) else { return }
        do {
            if let startMessage { try await self.sender.send(startMessage) }
        } catch {
            self.state.withLockedValue { $0.life.startEnded(isTold: false) }
            throw error
        }
        self.state.withLockedValue { $0.life.startEnded(isTold: true) }
    }

    // MARK: The outcome

    /// Keeps a field for the end event (or for the error event, should the operation fail).
    ///
    /// - Returns: false when 64 fields are kept already, and this one was not taken.
    @discardableResult
    public func set(_ field: String, to value: JSONValue) -> Bool {
        self.state.withLockedValue { state in
            guard state.fields[field] != nil || state.fields.members.count < Self.fieldLimit else { return false }
            state.fields[field] = value
            return true
        }
    }

    /// Tells that the operation succeeded, and returns when every driver vouches for it; at once when the event is
    /// switched off.
    ///
    /// After a retryable ``DriverError`` call it again: it sends the first call's message once more, under its id, and
    /// does not look at the payload. After any other error nothing is decided, and the payload can be mended.
    ///
    /// - Parameter payload: the end fields, above those that were ``set(_:to:)``.
    /// - Throws: ``DriverError``; ``FieldError`` naming a field that is missing or mistyped; ``NotificationUseError``
    ///   for a second outcome.
    public func end(_ payload: JSONObject = JSONObject()) async throws {
        try await self.tell { .end(payload: $0.adding(payload)) }
    }

    /// Tells that the operation failed. What ``end(_:)`` says of errors is true of it too.
    ///
    /// - Parameters:
    ///   - error: what it failed with; ``ExceptionInfo/init(_:fileID:line:)`` says what becomes of it.
    ///   - payload: further fields, above those that were ``set(_:to:)``.
    ///   - fileID: where the caller stands; part of the trace.
    ///   - line: where the caller stands; part of the trace.
    public func error(
        _ error: any Error, payload: JSONObject = JSONObject(), fileID: String = #fileID, line: Int = #line
    ) async throws {
        try await self.error(ExceptionInfo(error, fileID: fileID, line: line), payload: payload)
    }

    /// Tells that the operation failed with this type, text and trace. What ``end(_:)`` says of errors is true of it too.
    public func error(_ exception: ExceptionInfo, payload: JSONObject = JSONObject()) async throws {
        try await self.tell { .error(exception, payload: $0.adding(payload)) }
    }

    /// What remains to be told when the operation's code has returned: nothing when it told the outcome itself or handed
    /// the context on, the same again when telling failed.
    func endUnlessDecided() async throws {
        let (isOpen, untold) = self.state.withLockedValue { ($0.life.isOpen, $0.life.untoldPhase) }
        switch untold {
        case nil: if isOpen { try await self.end() }
        case .error?: try await self.error(ExceptionInfo(etype: "", value: ""))
        case .some: try await self.end()
        }
    }

    private func tell(_ outcome: (JSONObject) -> OperationOutcome) async throws {
        let message = try self.change { state in
            let outcome = outcome(state.fields)
            var undeclared: [String] = []
            let message = try state.life.begin(outcome.phase) {
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
        self.state.withLockedValue { $0.life.outcomeEnded(failure) }
        if let failure { throw failure }
    }

    // MARK: Handing on

    /// Says that somebody else tells the outcome, and returns the context that they need.
    ///
    /// - Throws: ``NotificationUseError`` when the outcome was begun here, or the context was handed on already.
    public func handOn() throws -> NotificationContext {
        try self.change { state in
            try state.life.beginHandingOn()
            state.life.handingOnEnded(isHandedOn: true)
        }
        return self.context
    }

    /// Hands the context on with a call: when the call throws, nobody has the context, and the outcome is still to be
    /// told here. A call that may have arrived although it threw should not throw out of the closure: both sides would
    /// tell an outcome.
    ///
    /// - Parameters:
    ///   - isolation: the actor that the call is made on: the caller's.
    ///   - call: takes the context to whoever will tell the outcome.
    /// - Throws: what the call threw; ``NotificationUseError`` when the outcome was begun here, or the context was
    ///   handed on already.
    @discardableResult
    public func handOn<Success>(
        isolation: isolated (any Actor)? = #isolation, to call: (NotificationContext) async throws -> Success
    ) async throws -> Success {
        try self.change { try $0.life.beginHandingOn() }
        do {
            let success = try await call(self.context)
            self.state.withLockedValue { $0.life.handingOnEnded(isHandedOn: true) }
            return success
        } catch {
            self.state.withLockedValue { $0.life.handingOnEnded(isHandedOn: false) }
            throw error
        }
    }

    /// Changes the state, and puts what it refuses into words.
    private func change<Result>(_ body: (inout State) throws -> Result) throws -> Result {
        do {
            return try self.state.withLockedValue(body)
        } catch let misuse as NotificationLife.Misuse {
            let code: NotificationUseError.Code
            switch misuse {
            case .beingTold: code = .beingTold
            case .outcomeDecided: code = .outcomeDecided
            case .handedOn: code = .handedOn
            }
            throw NotificationUseError(code, self.context.operation)
        }
    }
}

extension JSONValue {
    fileprivate var nonEmptyString: String? { self.string.flatMap { $0.isEmpty ? nil : $0 } }
}

extension JSONObject {
    /// These members with others above them.
    func adding(_ others: JSONObject) -> JSONObject {
        var sum = self
        for member in others.members { sum[member.name] = member.value }
        return sum
    }
}
