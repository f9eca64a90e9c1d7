import ConductorRPC
import NIOConcurrencyHelpers
import NIOPosix
import TLSSocket

/// A guest that comes anew twice a second and goes after one `ping`: what it takes to get in. It is told, and not judged:
/// whoever keeps as many handshakes under way as may be keeps newcomers waiting (Docs/security.md).
final class Newcomer: Sendable {
    private let port: Int
    private let tls: TLSContext

    init(options: TargetOptions) throws {
        self.port = options.port
        self.tls = try Target.context("\(options.tls)/guest-newcomer", roots: options.tls)
    }

    /// How it fared.
    struct Visits {
        var times: [Duration] = []
        var failures = 0

        var text: String {
            let worst = self.times.max().map { " (\(Report.text($0)) at most)" } ?? ""
            return "\(self.times.count) of \(self.times.count + self.failures)\(worst)"
        }
    }

    /// Comes and goes until it is cancelled, and leaves no connection behind.
    func run() async -> Visits {
        var visits = Visits()
        while !Task.isCancelled {
            let start = ContinuousClock.now
            do {
                let connection = try await ConductorConnection.connect(
                    host: "127.0.0.1", port: self.port, tls: self.tls, group: MultiThreadedEventLoopGroup.singleton)
                let answer: Void? = try? await { _ = try await connection.call(.ping) }()
                if answer == nil { visits.failures += 1 } else { visits.times.append(ContinuousClock.now - start) }
                await connection.close()
            } catch {
                // One that is cancelled by the end of the window has not failed, unless it has waited for long.
                if !(error is CancellationError) || ContinuousClock.now - start > .seconds(1) { visits.failures += 1 }
            }
            try? await Task.sleep(for: .milliseconds(500))
        }
        return visits
    }
}
