import ArgumentParser
import ConductorService
import EventLoopFairness
import Foundation
import Glibc
import Logging
import NIOCore
import Notifications
import Notifier
import ServiceLifecycle
import Settings
import TLSSocket
import UnixSignals

/// `conductor serve`: runs until a signal stops it.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the conductor until SIGTERM or SIGINT, then answers what it has taken and ends.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        // A reader of our output that closes it must not end us: the write fails then, and the guest's answer says so.
        _ = signal(SIGPIPE, SIG_IGN)
        // A signal for the counters that comes too early must not end us either.
        _ = signal(SIGUSR1, SIG_IGN)
        // Nor one to read certificates again: they are being read for the first time.
        _ = signal(SIGHUP, SIG_IGN)
        // Before anything asks for an event loop.
        NIOSingletons.groupLoopCountSuggestion = Processors.usable
        try await ConductorExit.mapErrors(closing: ConductorLog()) { log in
            let settings = try await self.options.load()
            var logger = log.logger
            logger.logLevel = Logger.Level(rawValue: try settings.string("log.level")) ?? .info
            let audit = try settings.boolean("audit.outcomes") ? log.audit(warnings: logger) : nil

            let tls = LiveTLSContext(try TLSContext(settings))
            let interval = try settings.duration("tls.reload_interval")
            let reloader = CertificateReloader(live: tls, interval: interval, logger: logger)
            let systemd = SystemdService(
                environment: ProcessInfo.processInfo.environment, processID: getpid(),
                isWell: { !reloader.isStuck }, logger: logger)
            let signatures = try settings.contextVerifier()
            let certificates = CertificateService(
                reloader,
                keys: try signatures.map {
                    SigningKeyReloader(
                        live: $0.keys, files: try settings.signingKeyFiles(), interval: interval, logger: logger,
                        list: { [options] in try await options.load().signingKeyFiles() },
                        read: { try SignatureSettings.read($0, mayBeEmpty: false) })
                }, systemd: systemd)
            var messaging = try MessagingDriver.Configuration(settings)
            // Above this, guests' messages do not stand in the way of others' on one connection. Most have one or two KB.
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

            // Once nothing keeps it from starting.
            try SecurityPosture(
                settings, authorization: authorization, exposedSecret: self.options.exposedPassword(settings)
            ).log(to: logger)
            // Stopped in the opposite order: systemd hears of it first; the broker's connection outlives the guests' and the
            // reporters, guests are revoked to the last, and one can ask how far it is to the end.
            let group = ServiceGroup(
                configuration: .init(
                    services: ([
                        LedgerReport(relay: relay, server: server, logger: logger), certificates, notifier, server,
                    ]
                        + reporters + [systemd]).map {
                            .init(service: $0)
                        },
                    gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
            // Whatever ended it.
            defer {
                server.connections.log(to: logger)
                relay.counters.log("Since the start", to: logger)
            }
            do {
                try await group.run()
            } catch {
                await audit?.drain(within: ConductorLog.patience)
                throw error
            }
            await audit?.drain(within: ConductorLog.patience)
        }
    }
}
