import ArgumentParser
import Logging
import Notifier
import Settings
import TLSSocket

/// `conductor check-config`: says what `serve` would run with, or what is wrong.
struct CheckConfig: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the effective settings and where each comes from, or everything that is wrong with them.",
        discussion: "Reads the certificate and catalogue files too. Secrets are not shown.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        try await ConductorExit.mapErrors {
            let settings = try await self.options.load()
            print(settings.describe())
            let catalogues = try settings.catalogues()
            _ = try TLSContext(settings)
            _ = try Notifier(
                names: try settings.drivers(), messaging: MessagingDriver.Configuration(settings),
                redaction: Redaction(settings), logger: .init(label: "conductor"))
            _ = try ReportSettings(settings, catalogues: catalogues, logger: .init(label: "conductor"))
        }
    }
}
