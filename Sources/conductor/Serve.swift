import ArgumentParser
import ConductorService
import Glibc
import Logging
import Notifications
import Notifier
import ServiceLifecycle
import Settings
import TLSSocket
import UnixSignals

/// `conductor serve`: runs until it is told to stop.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the conductor until SIGTERM or SIGINT, then answers what it has taken and ends.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        // A reader of our output that goes away must not end us: the write fails then, and says so to the guest.
        _ = signal(SIGPIPE, SIG_IGN)
        try await ConductorExit.mapErrors {
            let settings = try await self.options.load()
            var logger = Logger(label: "conductor") { StreamLogHandler.standardError(label: $0) }
            logger.logLevel = Logger.Level(rawValue: try settings.string("log.level")) ?? .info

            let tls = try TLSContext(settings)
            let notifier = try Notifier(
                names: try settings.drivers(), messaging: MessagingDriver.Configuration(settings),
                redaction: Redaction(settings), logger: logger)
            let catalogues = try settings.catalogues()
            let counters = RelayCounters()
            let relay = Relay(
                notifier: notifier, catalogues: catalogues, publisherID: try settings.publisherID(),
                counters: counters, logger: logger)
            let server = ConductorServer(
                configuration: try ConductorServer.Configuration(settings), tls: tls, requestHandler: relay,
                logger: logger)
            let reporters = try ReportSettings(settings, catalogues: catalogues, logger: logger).reporters(
                notifier: notifier)

            // Stopped in the opposite order: the broker's connection outlives the guests' and the reporters.
            let group = ServiceGroup(
                configuration: .init(
                    services: ([notifier, server] + reporters).map { .init(service: $0) },
                    gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
            try await group.run()
            counters.counts.log(to: logger)
        }
    }
}
