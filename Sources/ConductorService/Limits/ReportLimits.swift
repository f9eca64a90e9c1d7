// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC
package import Notifications

/// Limits on the size of a report once it is read, and on the time at which it says that an operation ended.
package struct ReportLimits: Sendable {
    /// The maximum length of an error's trace, text and type, in bytes of JSON each. A longer one is cut in the middle.
    package var traceBytes = 64 << 10
    /// The maximum length of a notification's payload and request context together, in bytes of JSON, without an
    /// error's text and trace.
    package var payloadBytes = 256 << 10

    /// The maximum error of a guest's clock, in seconds. It is a day, because the clock of a virtual machine that takes
    /// its hardware's local time for UTC is up to 14 hours ahead until NTP has set it. It is no more, because a time in
    /// the far future always sorts last, and is outside the time that billing keeps.
    package var clockSkew = 86_400.0
    /// The maximum time in seconds that a guest's clock may be behind when an operation with a signed context ends, if
    /// that is more than ``clockSkew``. A virtual machine without a hardware clock begins in 1970 until NTP has set its
    /// clock.
    package var clockLag = 0.0

    /// Creates the defaults.
    package init() {}

    /// Checks that an outcome can have happened at the time that its guest reports.
    ///
    /// - Parameters:
    ///   - report: the guest's report.
    ///   - issuedAt: the time at which the control plane signed its context, in seconds since 1970; nil without a
    ///     signature.
    ///   - now: the conductor's time.
    /// - Throws: ``RPCError/Code/invalidParameters`` for the field `params.timestamp`.
    package func checkTime(
        of report: OutcomeReport, issuedAt: Double?, now: NotificationTimestamp = .now()
    ) throws(RPCError) {
        let time = Double(report.timestamp.microsecondsSinceEpoch) / 1e6
        // The outcome keeps its time: setting the guest's clock helps later outcomes only.
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

    /// Returns the outcome, with its error cut to the accepted length. The error is redacted before it is cut, because
    /// half a secret may not be recognized as one.
    package func cut(_ outcome: OperationOutcome, _ redaction: Redaction) -> OperationOutcome {
        guard case .error(let exception, let payload) = outcome, !self.fits(exception) else { return outcome }
        var cut = redaction.redact(exception)
        cut.etype = TextTruncation.middle(of: cut.etype, encodedLength: self.traceBytes)
        cut.value = TextTruncation.middle(of: cut.value, encodedLength: self.traceBytes)
        cut.trace = TextTruncation.middle(of: cut.trace, encodedLength: self.traceBytes)
        return .error(cut, payload: payload)
    }

    /// Checks the size of a notification.
    ///
    /// - Throws: ``RPCError`` if the notification is larger than is accepted.
    package func check(_ message: NotificationMessage) throws(RPCError) {
        var payload = message.payload
        if message.priority == .error {
            // These fields are cut instead.
            for field in ["message", "exception"] { payload[field] = nil }
        }
        guard payload.encodedLengthBound + message.context.encodedLengthBound > self.payloadBytes else { return }
        let length = [payload, message.context].reduce(0) { $0 + JSONWriter.encode(.object($1)).count }
        guard length > self.payloadBytes else { return }
        throw RPCError(
            .tooLarge,
            "The payload and the request's context are \(length) bytes of JSON; the limit is \(self.payloadBytes).",
            limitBytes: self.payloadBytes)
    }

    /// Whether no part of the exception must be cut. The usual case is decided without looking at each scalar.
    private func fits(_ exception: ExceptionInfo) -> Bool {
        let trace = exception.trace.reduce(0) { $0 + 6 * $1.utf8.count + 3 }
        if max(6 * exception.etype.utf8.count, 6 * exception.value.utf8.count, trace) <= self.traceBytes { return true }
        let length = exception.trace.reduce(0) { $0 + TextTruncation.encodedLength(of: $1) + 3 }
        return length <= self.traceBytes && TextTruncation.encodedLength(of: exception.etype) <= self.traceBytes
            && TextTruncation.encodedLength(of: exception.value) <= self.traceBytes
    }
}
