// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ConductorService
import Foundation
import Logging
import Notifications
import Notifier
import Settings
import StandardIO
import TLSChannel

/// `conductor check-config`: prints the settings that `serve` would run with, or what is wrong with them.
struct CheckConfig: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the effective settings and their origins, or every error in them.",
        discussion: """
            The certificate, catalogue and key files are read too. Secrets are not printed. Warnings on standard error name \
            what is allowed but not safe; the exit status stays 0 unless --strict is given.
            """)

    @OptionGroup var options: ConfigurationOptions

    @Flag(help: "Exit with status 78 when there is a warning.")
    var strict = false

    func run() async throws {
        try await ConductorExit.mapErrors {
            let settings = try await self.options.load()
            try StandardStreams.print(settings.describe() + "\n")
            let catalogues = try settings.catalogues()
            let tls = try TLSContext(settings)
            let now = Int64(Date().timeIntervalSince1970)
            try StandardStreams.print(tls.expiries.map { $0.line(now: now) + "\n" }.joined())
            var watch = ExpiryStateMachine()
            var warnings = watch.dueWarnings(tls.expiries, now: now).map { notice in
                let remedy = notice.isEarly ? "check this machine's clock" : "renew it in time"
                return "\(notice.expiry.line(now: now)); \(remedy)."
            }
            _ = try ListenHost(try settings.string("listen.host"))
            let authorization = try GuestAuthorization(settings, catalogues: catalogues)
            _ = try Notifier(
                names: try settings.drivers(), messaging: MessagingConfiguration(settings),
                redaction: Redaction(settings), logger: .init(label: "conductor"))
            _ = try settings.contextVerifier()
            _ = try ConductorServer.Configuration(settings)
            _ = try ReportSettings(settings, catalogues: catalogues, logger: .init(label: "conductor"))
            let posture = try SecurityPosture(
                settings, authorization: authorization, exposedSecret: self.options.exposedPassword(settings))
            warnings += posture.warnings.map(\.description)
            for warning in warnings { ConductorExit.printMessage("warning: \(warning)") }
            guard !self.strict || warnings.isEmpty else { throw ConductorExit.configuration }
        }
    }
}
