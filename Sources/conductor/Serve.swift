// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ConductorService
import EventLoopScheduling
import Foundation
import Glibc
import Logging
import NIOCore
import Notifications
import Notifier
import ServiceLifecycle
import Settings
import TLSChannel
import UnixSignals

/// `conductor serve`: runs the conductor until a signal stops it.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the conductor until SIGTERM or SIGINT, then answer the accepted requests and exit.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        // A reader that closes our output must not end this process: the write fails instead, and the answer to the
        // guest reports it.
        _ = signal(SIGPIPE, SIG_IGN)
        // Nor must a SIGUSR1 that comes too early, which asks for the counters.
        _ = signal(SIGUSR1, SIG_IGN)
        // Nor must a SIGHUP, which asks to reload the certificates: they are being loaded for the first time.
        _ = signal(SIGHUP, SIG_IGN)
        // Set before anything uses an event loop.
        NIOSingletons.groupLoopCountSuggestion = Processors.usable
        try await ConductorExit.mapErrors(closing: ConductorLog()) { log in
            let settings = try await self.options.load()
            var logger = log.logger
            logger.logLevel = Logger.Level(rawValue: try settings.string("log.level")) ?? .info
            let audit = try settings.boolean("audit.outcomes") ? log.audit(warnings: logger) : nil

            let tls = LiveTLSContext(try TLSContext(settings))
            let interval = try settings.duration("tls.reload_interval")
            let certificates = CertificateReloader(live: tls, interval: interval, logger: logger)
            let signatures = try settings.contextVerifier()
            let signingKeys = try signatures.map {
                SigningKeyReloader(
                    live: $0.keys, files: try settings.signingKeyFiles(), interval: interval, logger: logger,
                    list: { [options] in try await options.load().signingKeyFiles() },
                    read: { try SignatureSettings.read($0, mayBeEmpty: false) })
            }
            let files = ReloadedFiles(certificates: certificates, signingKeys: signingKeys)
            let systemd = SystemdService(
                environment: ProcessInfo.processInfo.environment, processID: getpid(),
                isHealthy: { files.isResponsive }, logger: logger)
            let reloads = FileReloadService(files, systemd: systemd)
            var messaging = try MessagingConfiguration(settings)
            // Longer messages of guests get a connection of their own, so that they do not delay others. Most messages
            // have one or two KB.
            messaging?.largeMessageBytes = 16 << 10
            let notifier = try Notifier(
                names: try settings.drivers(), messaging: messaging,
                redaction: Redaction(settings), logger: logger)
            let catalogues = try settings.catalogues()
            let authorization = try GuestAuthorization(settings, catalogues: catalogues)
            let relay = Relay(
                notifier: notifier, catalogues: catalogues, publisherID: try settings.publisherID(),
                address: try settings.optionalString("publisher.address"),
                rememberedIDs: try settings.integer("limits.remembered_ids"),
                authorization: authorization,
                verifier: signatures?.verifier, limits: try ReportLimits(settings), audit: audit, logger: logger)
            var listener = try ConductorServer.Configuration(settings)
            DescriptorLimit.makeRoom(for: &listener.limits, logger: logger)
            let server = ConductorServer(
                configuration: listener, tls: tls, requestHandler: relay, logger: logger,
                onListening: { _ in systemd.ready() })
            let reporters = try ReportSettings(settings, catalogues: catalogues, logger: logger).reporters(
                notifier: notifier)

            // Logged after all checks that can prevent the start.
            try SecurityPosture(
                settings, authorization: authorization, exposedSecret: self.options.exposedPassword(settings)
            ).log(to: logger)
            // Services stop in reverse order. systemd is notified first. The broker's connection outlives the guests'
            // connections and the reporters. Guests can be revoked, and SIGUSR1 logs the counters, until the end.
            let group = ServiceGroup(
                configuration: .init(
                    services: ([
                        CounterLogService(relay: relay, server: server, logger: logger), reloads, notifier, server,
                    ]
                        + reporters + [systemd]).map {
                            .init(service: $0)
                        },
                    gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
            // Logged whatever ended the services.
            defer {
                server.connections.log(to: logger)
                relay.counters.log("Counters since the start", to: logger)
            }
            do {
                try await group.run()
            } catch {
                await audit?.drain(within: ConductorLog.drainTimeout)
                throw error
            }
            await audit?.drain(within: ConductorLog.drainTimeout)
        }
    }
}
