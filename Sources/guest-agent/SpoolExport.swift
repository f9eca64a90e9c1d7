// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import GuestAgent
import GuestSpool
import Notifications
import StandardIO

/// `guest-agent spool export`: writes outcomes to a file, for people to deal with.
struct SpoolExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write outcomes to a new file, as JSON lines; by default those that were set aside.",
        discussion: """
            A line has the request that a conductor would get (method, params), and for a set-aside outcome its reason and \
            time. With --remove they are removed from the spool once the file is on the disk, and count as exported; a spool that cannot be changed \
            is named at the end, and keeps them.
            """)

    @OptionGroup var options: SpoolOptions
    @OptionGroup var selection: SpoolSelection

    @Flag(name: .long, help: "Export outcomes that wait and those that no conductor accepts.")
    var all = false

    @Flag(name: .long, help: "Remove exported outcomes that were set aside from the spool.")
    var remove = false

    @Argument(help: "Write to this file; it must not exist.")
    var file: String

    func validate() throws {
        if self.all, self.selection.state != nil { throw ValidationError("--all excludes --set-aside and --waiting.") }
        if self.remove, self.all || self.selection.waiting {
            throw ValidationError(
                "--remove is only for outcomes that were set aside: those that wait are still delivered.")
        }
    }

    func run() async throws {
        try await GuestAgentExit.mapErrors {
            let states = self.all ? SpoolOutcome.State.allCases : [self.selection.state ?? .setAside]
            let paths = try await self.options.places().paths
            var written: [(path: String, sequences: [Int64])] = []
            var count = 0
            var file = try ExportFile(self.file)
            for path in paths {
                var sequences: [Int64] = []
                try await SpoolInspection(path).forEach(states) { outcome in
                    var object = outcome.json
                    object["spool"] = .string(path)
                    try file.write(object)
                    sequences.append(outcome.sequence)
                }
                count += sequences.count
                if !sequences.isEmpty { written.append((path, sequences)) }
            }
            try file.keep()
            var text = "\(SpoolOutputFormat.count(count, "outcome")) written to \(self.file)"
            var errors = SpoolErrorCollector()
            if self.remove {
                var removed = 0
                for (path, sequences) in written {
                    removed += try await errors.catching { try await SetAsideOutcomes(path).export(sequences) } ?? 0
                }
                text += ", \(removed) removed from the spool"
            }
            try StandardStreams.print(text + ".\n")
            try errors.report()
        }
    }
}
