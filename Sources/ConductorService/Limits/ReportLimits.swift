package import ConductorRPC
package import Notifications

/// How large what a guest reports may be once it is read, and when it can have happened.
package struct ReportLimits: Sendable {
    /// Past how many bytes of JSON an error's trace, and its text, are each cut in the middle.
    package var traceBytes = 64 << 10
    /// How many bytes of JSON a notification's payload and request context may be together, an error's text and trace apart.
    package var payloadBytes = 256 << 10

    /// How far a guest's clock may be wrong, in seconds. A day, since the clock of a virtual machine that takes its hardware's
    /// local time for UTC is up to 14 hours ahead until NTP has set it; and no more, since a time that is far away sorts last
    /// for ever, and falls out of what billing keeps.
    package var clockSkew = 86_400.0
    /// How far a guest's clock may be behind when an operation ends whose context is signed, in seconds, where that is more than
    /// ``clockSkew``. A virtual machine without a clock of its own begins in 1970 until NTP has set it.
    package var clockLag = 0.0

    /// The defaults.
    package init() {}

    /// Checks that an outcome can have happened when its guest says.
    ///
    /// - Parameters:
    ///   - report: what the guest reports.
    ///   - issuedAt: when the control plane signed its context, in seconds since 1970; nil without a signature.
    ///   - now: the conductor's time.
    /// - Throws: ``RPCError/Code/invalidParameters`` for the field `params.timestamp`.
    package func checkTime(
        of report: OutcomeReport, issuedAt: Double?, now: NotificationTimestamp = .now()
    ) throws(RPCError) {
        let time = Double(report.timestamp.microsecondsSinceEpoch) / 1e6
        // The time is the outcome's for good: to set the guest's clock helps those that come later.
        let advice = "set the guest's clock for later outcomes; send this one again"
        if time > Double(now.microsecondsSinceEpoch) / 1e6 + self.clockSkew {
            throw RPCError(
                FieldError(
                    field: "params.timestamp",
                    problem:
                        "is \(report.timestamp), more than \(Int(self.clockSkew)) seconds (limits.clock_skew of this conductor) "
                        + "after the conductor's time; \(advice) when its time has come, or when limits.clock_skew is at least "
                        + "\(Self.seconds(time - Double(now.microsecondsSinceEpoch) / 1e6))"))
        }
        let lag = max(self.clockLag, self.clockSkew)
        if let issuedAt, time < issuedAt - lag {
            throw RPCError(
                FieldError(
                    field: "params.timestamp",
                    problem:
                        "is \(report.timestamp), more than \(Int(lag)) seconds (limits.clock_skew or limits.clock_lag of this "
                        + "conductor) before the control plane signed the context; \(advice) when limits.clock_lag is at least "
                        + "\(Self.seconds(issuedAt - time))"))
        }
    }

    private static func seconds(_ time: Double) -> Int { Int(time.rounded(.up)) }

    /// The outcome with an error that is no longer than is taken. It is redacted before it is cut, for a secret that was cut in
    /// two may not look like one.
    package func cut(_ outcome: OperationOutcome, _ redaction: Redaction) -> OperationOutcome {
        guard case .error(let exception, let payload) = outcome, !self.fits(exception) else { return outcome }
        var cut = redaction.redact(exception)
        cut.etype = TextCut.middle(of: cut.etype, encodedLength: self.traceBytes)
        cut.value = TextCut.middle(of: cut.value, encodedLength: self.traceBytes)
        cut.trace = TextCut.middle(of: cut.trace, encodedLength: self.traceBytes)
        return .error(cut, payload: payload)
    }

    /// - Throws: ``RPCError`` when the notification is larger than is taken.
    package func check(_ message: NotificationMessage) throws(RPCError) {
        var payload = message.payload
        if message.priority == .error {
            // They are cut instead.
            for field in ["message", "exception"] { payload[field] = nil }
        }
        guard payload.encodedLengthBound + message.context.encodedLengthBound > self.payloadBytes else { return }
        let length = [payload, message.context].reduce(0) { $0 + JSONWriter.encode(.object($1)).count }
        guard length > self.payloadBytes else { return }
        throw RPCError(
            .tooLarge,
            "The payload and the request's context are \(length) bytes of JSON; \(self.payloadBytes) are taken.",
            limitBytes: self.payloadBytes)
    }

    /// Whether nothing of it need be cut: nearly always, and found without a look at each scalar.
    private func fits(_ exception: ExceptionInfo) -> Bool {
        let trace = exception.trace.reduce(0) { $0 + 6 * $1.utf8.count + 3 }
        if max(6 * exception.etype.utf8.count, 6 * exception.value.utf8.count, trace) <= self.traceBytes { return true }
        let length = exception.trace.reduce(0) { $0 + TextCut.encodedLength(of: $1) + 3 }
        return length <= self.traceBytes && TextCut.encodedLength(of: exception.etype) <= self.traceBytes
            && TextCut.encodedLength(of: exception.value) <= self.traceBytes
    }
}
