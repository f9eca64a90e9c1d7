// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import GuestAgent
import GuestSpool
import Notifications
import Settings
import StandardIO

/// `guest-agent status`: prints what runs, waits and was set aside, and what has been delivered.
struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what runs, waits for a conductor and was set aside in this guest.",
        discussion: """
            It changes nothing and blocks no agent, and it works while agents run. The exit status is 0 also \
            when outcomes wait; 78 if there is no spool, 74 if one cannot be read.
            """)

    @OptionGroup var options: SpoolOptions

    @Flag(name: .long, help: "Print JSON.")
    var json = false

    func run() async throws {
        try await GuestAgentExit.mapErrors {
            let settings = try await self.options.settings.load(required: false)
            let certificates = try CertificateReport(settings)
            let places: SpoolOptions.Places
            do {
                places = try self.options.places(settings)
            } catch {
                // A guest that has not reported anything yet also has certificates that expire.
                if !self.json, let certificates {
                    try StandardStreams.print(certificates.lines.map { $0 + "\n" }.joined())
                }
                throw error
            }
            var overviews: [SpoolOverview] = []
            var failure: (any Error)?
            for path in places.paths {
                do {
                    overviews.append(try await SpoolInspection(path).overview())
                } catch let error as OutboxError
                    where [.failed, .notWritable].contains(error.code) && places.paths.count > 1
                {
                    // A spool that is damaged, or that this user may not read, must not hide the others.
                    if let failure { GuestAgentExit.printMessage("\(failure)") }
                    failure = error
                }
            }
            let report = StatusReport(
                directory: places.directory, spools: overviews, certificates: certificates)
            try StandardStreams.print(
                self.json ? SpoolOutputFormat.json(.object(report.json)) + "\n" : report.text)
            if let failure { throw failure }
        }
    }
}

/// The report that `guest-agent status` prints.
struct StatusReport {
    let directory: String
    let spools: [SpoolOverview]
    /// The report about the certificates; nil when the settings name none.
    let certificates: CertificateReport?

    /// The report for people.
    var text: String {
        var lines = self.spools.flatMap { self.lines($0) }
        if self.spools.isEmpty { lines.append("\(self.directory): no outcome was ever stored here.") }
        if self.spools.count > 1 {
            lines.append("In all \(self.spools.count) spools of \(self.directory):")
            lines.append("  " + self.ledger(self.total, isBalanced: self.spools.allSatisfy(\.isBalanced)))
        }
        lines += self.certificates?.lines ?? []
        return lines.joined(separator: "\n") + "\n"
    }

    private func lines(_ spool: SpoolOverview) -> [String] {
        let holder =
            switch spool.holder {
            case .noAgent: "no agent uses it"
            case .process(let process): "process \(process) uses it"
            case .unknown: "whether an agent uses it is unknown"
            }
        var lines = ["\(spool.path): \(holder)", "  " + self.ledger(spool.counts, isBalanced: spool.isBalanced)]
        if spool.counts.running > 0 {
            let since = spool.runningSince.map { ", the first since \($0) UTC" } ?? ""
            let fate = spool.holder == .noAgent ? "; their agent has ended: the next reports them as interrupted" : ""
            lines.append("  \(SpoolOutputFormat.count(spool.counts.running, "operation")) running\(since)\(fate)")
        }
        if spool.counts.waiting > 0 {
            let since = spool.waitingSince.map { ", the oldest since \($0) UTC" } ?? ""
            lines.append(
                "  \(SpoolOutputFormat.count(spool.counts.waiting, "outcome")) waiting for a conductor\(since)")
        }
        for reason in spool.reasons {
            lines.append("  \(reason.count) set aside: \(SpoolOutputFormat.oneLine(reason.text))")
        }
        for file in spool.damagedFiles {
            let reason = file.reason.isEmpty ? "" : ": \(SpoolOutputFormat.oneLine(file.reason))"
            lines.append("  damaged, set aside: \(spool.path)/\(SpoolOutputFormat.oneLine(file.name))\(reason)")
        }
        if spool.bytes > 0 { lines.append("  \(SpoolOutputFormat.bytes(spool.bytes)) of contexts and outcomes") }
        return lines
    }

    private func ledger(_ counts: OutboxCounts, isBalanced: Bool) -> String {
        """
        begun \(counts.begun) = running \(counts.running) + waiting \(counts.waiting) + delivered \(counts.delivered) + \
        set aside \(counts.setAside) + exported \(counts.exported); refused \(counts.refused); \
        the ledger \(isBalanced ? "balances" : "DOES NOT BALANCE")
        """
    }

    private var total: OutboxCounts {
        var total = OutboxCounts()
        for spool in self.spools {
            total.begun += spool.counts.begun
            total.running += spool.counts.running
            total.waiting += spool.counts.waiting
            total.delivered += spool.counts.delivered
            total.setAside += spool.counts.setAside
            total.refused += spool.counts.refused
            total.exported += spool.counts.exported
        }
        return total
    }

    /// The report for programs.
    var json: JSONObject {
        var total = Self.json(self.total)
        total["bytes"] = .number(JSONNumber(self.spools.map(\.bytes).reduce(0, +)))
        total["balanced"] = .bool(self.spools.allSatisfy(\.isBalanced))
        return [
            "directory": .string(self.directory), "spools": .array(self.spools.map { .object(Self.json($0)) }),
            "total": .object(total), "certificates": self.certificates.map { .object($0.json) } ?? .null,
        ]
    }

    private static func json(_ spool: SpoolOverview) -> JSONObject {
        var object: JSONObject = ["spool": .string(spool.path)]
        switch spool.holder {
        case .noAgent: object["in_use"] = false
        case .process(let process):
            object["in_use"] = true
            object["process"] = .number(JSONNumber(Int(process)))
        case .unknown: object["in_use"] = .null
        }
        for member in self.json(spool.counts).members { object[member.name] = member.value }
        object["bytes"] = .number(JSONNumber(spool.bytes))
        object["balanced"] = .bool(spool.isBalanced)
        object["running_since"] = spool.runningSince.map { .string($0.description) } ?? .null
        object["waiting_since"] = spool.waitingSince.map { .string($0.description) } ?? .null
        object["reasons"] = .array(
            spool.reasons.map { .object(["reason": .string($0.text), "count": .number(JSONNumber($0.count))]) })
        object["damaged_files"] = .array(
            spool.damagedFiles.map { .object(["name": .string($0.name), "reason": .string($0.reason)]) })
        return object
    }

    private static func json(_ counts: OutboxCounts) -> JSONObject {
        JSONObject(
            [
                ("begun", counts.begun), ("running", counts.running), ("waiting", counts.waiting),
                ("delivered", counts.delivered), ("set_aside", counts.setAside), ("exported", counts.exported),
                ("refused", counts.refused),
            ].map { ($0.0, .number(JSONNumber($0.1))) })
    }
}
