// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import GuestAgent
import GuestSpool
import Notifications
import StandardIO

/// `guest-agent spool`: the commands for single outcomes.
struct SpoolCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "spool", abstract: "List, show, retry or export outcomes that wait or were set aside.",
        subcommands: [SpoolList.self, SpoolShow.self, SpoolRetry.self, SpoolExport.self])
}

/// `guest-agent spool list`: prints a line for each outcome.
struct SpoolList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List outcomes that wait or were set aside, a line each.")

    @OptionGroup var options: SpoolOptions
    @OptionGroup var selection: SpoolSelection

    @Flag(name: .long, help: "Print JSON lines.")
    var json = false

    func run() async throws {
        try await GuestAgentExit.mapErrors {
            let states = self.selection.state.map { [$0] } ?? SpoolOutcome.State.allCases
            var errors = SpoolErrorCollector()
            for path in try await self.options.places().paths {
                try await errors.catching {
                    try await SpoolInspection(path).forEach(states) { outcome in
                        try StandardStreams.print(self.line(outcome, path) + "\n")
                    }
                }
            }
            try errors.report()
        }
    }

    private func line(_ outcome: SpoolOutcome, _ path: String) -> String {
        if self.json {
            var object = outcome.summary
            object["spool"] = .string(path)
            return SpoolOutputFormat.json(.object(object))
        }
        let what = outcome.report.map { "\($0.context.operation).\(outcome.phase) \($0.timestamp)" } ?? "damaged"
        let reason = outcome.reason.map { ": \($0)" } ?? ""
        return SpoolOutputFormat.oneLine("\(outcome.messageID) \(outcome.state.rawValue) \(what) \(path)\(reason)")
    }
}

/// `guest-agent spool show`: prints one complete outcome.
struct SpoolShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show one outcome as JSON, as it is reported to a conductor, and why it was set aside."
    )

    @OptionGroup var options: SpoolOptions

    @Argument(
        help: ArgumentHelp("Show the outcome with this message id.", valueName: "message-id"),
        transform: MessageID.argument)
    var messageID: MessageID

    func run() async throws {
        try await GuestAgentExit.mapErrors {
            let places = try await self.options.places()
            var errors = SpoolErrorCollector()
            for path in places.paths {
                let found = try await errors.catching { try await SpoolInspection(path).outcome(self.messageID) }
                guard let outcome = found ?? nil else { continue }
                var object = outcome.json
                object["spool"] = .string(path)
                try StandardStreams.print(SpoolOutputFormat.pretty(.object(object)) + "\n")
                return
            }
            // A spool that cannot be read may hold it.
            try errors.report()
            throw UnknownMessagesError([self.messageID], where: "waits or was set aside in \(places.directory)")
        }
    }
}

/// `guest-agent spool retry`: makes outcomes that were set aside wait for a conductor again.
struct SpoolRetry: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Make outcomes that were set aside wait for a conductor again.",
        discussion: """
            They keep their message ids. A running agent delivers them; otherwise `guest-agent flush` or the next exec does. \
            If one of the messages was not set aside, none is put back, and the exit status is 65. A spool that cannot be changed is \
            named at the end, and the others are changed. --all skips \
            operations that were running in a spool that was copied or restored: they may have ended elsewhere, and been \
            reported under the same message ids. Name those that have not.
            """)

    @OptionGroup var options: SpoolOptions

    @Argument(
        help: ArgumentHelp("Retry the outcomes with these message ids.", valueName: "message-id"),
        transform: MessageID.argument)
    var messageIDs: [MessageID] = []

    @Flag(name: .long, help: "Retry all outcomes that were set aside.")
    var all = false

    func validate() throws {
        guard self.all != !self.messageIDs.isEmpty else {
            throw ValidationError("Name the messages, or give --all, but not both.")
        }
    }

    func run() async throws {
        try await GuestAgentExit.mapErrors {
            let places = try await self.options.places(forChanging: true)
            var missing = Set(self.messageIDs)
            var found: [(path: String, sequences: [Int64])] = []
            var errors = SpoolErrorCollector()
            for path in places.paths {
                var sequences: [Int64] = []
                var left = missing
                let isRead: Void? = try await errors.catching {
                    try await SpoolInspection(path).forEach([.setAside]) { outcome in
                        guard self.all || MessageID(outcome.messageID).map({ left.remove($0) != nil }) == true
                        else { return }
                        sequences.append(outcome.sequence)
                    }
                }
                guard isRead != nil else { continue }
                missing = left
                if !sequences.isEmpty { found.append((path, sequences)) }
            }
            guard missing.isEmpty else {
                // A spool that cannot be read may hold them.
                try errors.report()
                let order = self.messageIDs.filter(missing.contains)
                throw UnknownMessagesError(order, where: "was set aside in \(places.directory)")
            }
            if !self.all { errors = SpoolErrorCollector() }
            var changed = SetAsideOutcomes.Changed()
            var rest = 0
            for (path, sequences) in found {
                guard let result = try await errors.catching({ try await self.retry(sequences, in: path) })
                else { continue }
                changed.count += result.count
                changed.copied += result.copied
                rest += sequences.count - result.count - result.copied
            }
            if places.paths.isEmpty || errors.count < places.paths.count {
                try StandardStreams.print(Self.summary(changed, ofOthers: rest))
            }
            try errors.report()
        }
    }

    private func retry(_ sequences: [Int64], in path: String) async throws -> SetAsideOutcomes.Changed {
        let outcomes = SetAsideOutcomes(path)
        if self.all { return try await outcomes.retryAll(sequences) }
        var changed = SetAsideOutcomes.Changed()
        changed.count = try await outcomes.retry(sequences)
        return changed
    }

    private static func summary(_ changed: SetAsideOutcomes.Changed, ofOthers rest: Int) -> String {
        var text = "\(SpoolOutputFormat.count(changed.count, "outcome")) put back."
        if rest > 0 { text += " \(SpoolOutputFormat.count(rest, "outcome")) of another guest left where they are." }
        if changed.copied > 0 {
            text += """
                 \(SpoolOutputFormat.count(changed.copied, "outcome")) of a copied spool skipped: the operation may have been \
                reported elsewhere. To report one that was not, name it: `guest-agent spool retry MESSAGE_ID`.
                """
        }
        return text + "\n"
    }
}

extension MessageID {
    /// Parses a message id of the command line.
    ///
    /// - Throws: `ValidationError` when the text is not a message id.
    static func argument(_ text: String) throws -> MessageID {
        guard let messageID = MessageID(text) else {
            throw ValidationError("a message id is a UUID, as `guest-agent spool list` shows it")
        }
        return messageID
    }
}
