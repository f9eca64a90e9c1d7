package import Logging
import NIOConcurrencyHelpers

/// What a relay counts, from any thread.
package final class RelayCounters: Sendable {
    /// The counts at one moment.
    package struct Counts: Sendable, Hashable {
        /// Outcomes that were taken and not published, since the operator has switched their event off.
        package var disabled = 0
        /// Fields that guests sent and the event does not declare, by service and operation: they were left out.
        package var undeclaredFields: [String: Int] = [:]
    }

    private let state = NIOLockedValueBox(Counts())

    /// Counters that stand at nought.
    package init() {}

    /// The counts now.
    package var counts: Counts { self.state.withLockedValue { $0 } }

    /// An outcome was taken whose event is switched off.
    func disabled() { self.state.withLockedValue { $0.disabled += 1 } }

    /// - Parameter operation: a catalogue's service and its operation, so that there are no more than the catalogues have.
    func dropped(_ fields: Int, of operation: String) {
        self.state.withLockedValue { $0.undeclaredFields[operation, default: 0] += fields }
    }
}

extension RelayCounters.Counts {
    /// Says what was left out and not published since the start, if anything was.
    package func log(to logger: Logger) {
        guard self != Self() else { return }
        let fields = self.undeclaredFields.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        logger.info(
            "Since the start",
            metadata: [
                "outcomes_of_disabled_events": "\(self.disabled)",
                "undeclared_fields_left_out": "\(fields.isEmpty ? "0" : fields.joined(separator: ", "))",
            ])
    }
}
