import Dispatch
public import Foundation
import NIOConcurrencyHelpers
public import Notifications

/// The `log` driver: each notification as a line of JSON, oslo's message object, on standard output.
///
/// Writing may block when the reader is slow, so it is done on a queue of its own.
public final class LogDriver: NotificationDriver {
    /// `log`.
    public let name = DriverName.log.rawValue
    private let output: FileHandle
    private let capacity: Int
    private let queue = DispatchQueue(label: "notifier.log")
    private let waiting = NIOLockedValueBox(0)
    /// Whether a write failed, and may have left a part of a line.
    private let isTorn = NIOLockedValueBox(false)

    /// - Parameters:
    ///   - output: where the lines go.
    ///   - capacity: how many lines may wait for a slow reader; past that they are refused as unavailable.
    public init(output: FileHandle = .standardOutput, capacity: Int = 10_000) {
        self.output = output
        self.capacity = capacity
    }

    /// Writes the line, and vouches for it once the system has taken it.
    public func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        let isTaken = self.waiting.withLockedValue { waiting in
            guard waiting < self.capacity else { return false }
            waiting += 1
            return true
        }
        guard isTaken else {
            let reason = "\(self.capacity) lines wait for whoever reads standard output"
            completion(.failure(DriverError(.unavailable, driver: self.name, reason: reason)))
            return
        }
        self.queue.async {
            var line = Envelope.messaging.encode(notification) + [UInt8(ascii: "\n")]
            // Behind the torn part this line could not be read, though we vouched for it.
            if self.isTorn.withLockedValue({ $0 }) { line.insert(UInt8(ascii: "\n"), at: 0) }
            let result: Result<Void, DriverError>
            do {
                try self.output.write(contentsOf: Data(line))
                self.isTorn.withLockedValue { $0 = false }
                result = .success(())
            } catch {
                self.isTorn.withLockedValue { $0 = true }
                let reason = "standard output takes no more lines: \(error.localizedDescription)"
                result = .failure(DriverError(.unavailable, driver: self.name, reason: reason))
            }
            self.waiting.withLockedValue { $0 -= 1 }
            completion(result)
        }
    }
}
