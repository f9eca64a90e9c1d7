package import ConductorRPC
package import Logging
import NIOConcurrencyHelpers
package import NIOCore

/// Admits guests' connections, and keeps each guest to its share.
package final class GuestAdmission: RPCAdmission {
    /// How long a guest that has too many connections is told to wait.
    static let retryAfterMilliseconds = 10_000

    private let connectionsPerGuest: Int
    private let rates: GuestBudget.Rates
    private let register: NIOLockedValueBox<GuestRegister<GuestShare>>
    private let refusals = NIOLockedValueBox(0)
    private let notice: Notice

    /// - Parameters:
    ///   - connectionsPerGuest: how many connections one guest may have.
    ///   - rates: how much a guest may send.
    ///   - logger: told of connections that are refused, in a line a minute.
    package init(connectionsPerGuest: Int, rates: GuestBudget.Rates, logger: Logger) {
        self.connectionsPerGuest = connectionsPerGuest
        self.rates = rates
        // By then a guest that has not gone into debt has its whole burst again.
        let seconds = max(
            Double(rates.requestsBurst) / Double(max(rates.requestsPerSecond, 1)),
            Double(rates.bytesBurst) / Double(max(rates.bytesPerSecond, 1)))
        self.register = NIOLockedValueBox(
            GuestRegister(
                connectionsPerGuest: connectionsPerGuest,
                memory: .nanoseconds(Int64(min(max(seconds, 1), 3600) * 1e9))))
        self.notice = Notice(
            "Connections were refused: a guest has as many as limits.connections_per_guest allows", logger: logger)
    }

    /// How many connections were refused.
    package var refused: Int { self.refusals.withLockedValue { $0 } }
    /// How many guests are connected, or remembered because they have just left.
    package var guests: Int { self.register.withLockedValue { $0.count } }

    package func admit(_ peer: RPCPeer, on eventLoop: any EventLoop) -> Result<any RPCGuestShare, RPCError> {
        let now = eventLoop.now
        let share = self.register.withLockedValue { register in
            register.join(peer.identity, now: now, isForgettable: { $0.isUntouched(now: now) }) {
                GuestShare(self.rates, now: now)
            }
        }
        if let share { return .success(share) }
        self.refusals.withLockedValue { $0 += 1 }
        self.notice.happened(
            on: eventLoop,
            metadata: ["peer": "\(peer.remoteAddress)", "limits.connections_per_guest": "\(self.connectionsPerGuest)"])
        return .failure(
            RPCError(
                .rateLimited,
                "Too many connections: this guest has \(self.connectionsPerGuest) already. This one is closed.",
                retryAfterMilliseconds: Self.retryAfterMilliseconds))
    }

    package func left(_ peer: RPCPeer, on eventLoop: any EventLoop) {
        let now = eventLoop.now
        self.register.withLockedValue {
            $0.leave(peer.identity, now: now, isForgettable: { $0.isUntouched(now: now) })
        }
    }
}

/// One guest's budget, shared by its connections on whatever event loops they are.
private final class GuestShare: RPCGuestShare {
    private let budget: NIOLockedValueBox<GuestBudget>

    init(_ rates: GuestBudget.Rates, now: NIODeadline) {
        self.budget = NIOLockedValueBox(GuestBudget(rates, now: now))
    }

    func request(now: NIODeadline) -> TimeAmount? { self.budget.withLockedValue { $0.request(now: now) } }

    func received(bytes: Int, now: NIODeadline) {
        self.budget.withLockedValue { $0.received(bytes: bytes, now: now) }
    }

    func published(bytes: Int, now: NIODeadline) {
        self.budget.withLockedValue { $0.published(bytes: bytes, now: now) }
    }

    func pause(now: NIODeadline) -> TimeAmount? { self.budget.withLockedValue { $0.pause(now: now) } }

    func isUntouched(now: NIODeadline) -> Bool { self.budget.withLockedValue { $0.isUntouched(now: now) } }
}
