// SPDX-License-Identifier: Apache-2.0

/// The bounds, and the ones that did not hold.
struct BoundsChecks {
    /// The maximum ratio of the p99 of well-behaved guests' requests to that in quiet.
    static let ratio = 2.0
    /// The maximum growth in KiB from one repetition to the next. An allocator frees and allocates memory by the MiB;
    /// connections or requests that leaked memory would come in thousands.
    static let growth = 8 << 10

    /// The maximum p99 of newcomers, from connecting to the answer to the first report.
    static let newcomer = Duration.seconds(1)

    private(set) var broken: [String] = []

    /// Records and prints a bound that does not hold.
    mutating func check(_ holds: Bool, _ sentence: @autoclosure () -> String) {
        guard !holds else { return }
        let sentence = sentence()
        Report.say("BROKEN: \(sentence)")
        self.broken.append(sentence)
    }

    /// Judges one attack.
    ///
    /// - Parameters:
    ///   - quiet: the measurement with which its p99 is compared.
    ///   - usualQuiet: the p99 that nine in ten quiet windows of the run do not exceed: below it, an attack cannot be
    ///     distinguished from the machine's noise. Nil not to judge times.
    mutating func judge(_ result: AttackResult, _ attack: any Attack.Type, quiet: Latencies, usualQuiet: Duration?) {
        let name = result.name
        self.check(
            result.unanswered == 0,
            "\(name): \(result.unanswered) requests of well-behaved guests had no answer in time")
        self.check(
            result.wrong.isEmpty,
            "\(name): \(result.wrong.count) requests of well-behaved guests were not answered ok: \(result.wrong.first ?? "")"
        )
        let newcomer = result.newcomer
        self.check(
            newcomer.failures == 0 && !newcomer.times.isEmpty,
            "\(name): \(newcomer.failures) of \(newcomer.failures + newcomer.times.count) newcomers were not served:"
                + " \(newcomer.failure ?? "")")
        for (before, _, after) in result.descriptors where after > before {
            self.check(false, "\(name): the conductor had \(before) descriptors before and has \(after) after it")
        }
        if let first = result.resident.first, let last = result.resident.last, result.resident.count > 1 {
            let growth = last.after - first.after
            self.check(
                growth <= Self.growth,
                "\(name): the conductor's memory grew by \(growth) KiB from the first repetition to the last"
                    + " (\(Self.growth) at most)")
        }
        for event in attack.mustHappen {
            self.check(result.tally[event, default: 0] > 0, "\(name) was no attack: it counted no \"\(event)\"")
        }
        for event in attack.mustNotHappen {
            let count = result.tally[event, default: 0]
            self.check(count == 0, "\(name) got somewhere: \"\(event)\" \(count) times")
        }
        if let usualQuiet {
            let wait = newcomer.latencies.p99
            self.check(
                wait <= Self.newcomer,
                "\(name): newcomers were served within \(Report.text(wait)) at p99 (\(Report.text(Self.newcomer)) at most)"
            )
            let p99 = Latencies.joined(result.attacked).p99
            let ratio = result.ratio(quiet: quiet)
            self.check(
                ratio <= Self.ratio || p99 <= usualQuiet,
                "\(name): p99 is \(Report.text(p99)), \(Report.text(ratio)) times what it is in quiet"
                    + " (at most \(Self.ratio); nine in ten quiet windows had at most \(Report.text(usualQuiet)))"
            )
        }
    }
}
