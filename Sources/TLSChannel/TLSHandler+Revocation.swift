// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore

// The end of an open connection whose peer is revoked, whose peer's authority is removed from the trust roots, or whose
// peer's chain expires.
extension TLSHandler {
    static let revokedError = TLSError(
        .revoked, "the peer's certificate was revoked, so the connection was closed; issue the peer a new certificate")
    static let untrustedError = TLSError(
        .untrusted,
        "the authority of the peer's certificate is no longer trusted, so the connection was closed; issue the peer a"
            + " certificate of a trusted authority")
    static let expiredError = TLSError(
        .expired, "the peer's certificate has expired, so the connection was closed; renew the peer's certificate")
    /// The longest time between two checks of the wall clock, in seconds: the clock may be set at any time.
    private static let longestWait: Int64 = 3600
    /// The time in which the last bytes must be written: a peer that does not read gains no time.
    private static let finalWriteTimeout = TimeAmount.seconds(1)

    /// Registers the connection after its handshake. A connection whose peer was revoked during the handshake, or lost
    /// its trusted authority, closes here.
    func register(context: ChannelHandlerContext) {
        guard let live = self.live else { return }
        guard let chain = self.engine.verifiedChain else {
            self.fail(context: context, TLSError(.verificationFailed, "the peer has no chain that was verified"))
            return
        }
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        let registration = live.register(chain, under: self.engine.context) { change in
            eventLoop.execute {
                let (handler, context) = bound.value
                handler.trustChanged(change, context: context)
            }
        }
        switch registration {
        case .open(let number, let notAfter):
            self.registration = number
            self.checkExpiry(notAfter, context: context)
        case .rejected(let change):
            self.trustChanged(change, context: context)
        }
    }

    private func trustChanged(_ change: LiveTLSContext.Change, context: ChannelHandlerContext) {
        switch change {
        case .revoked: self.cut(context: context, Self.revokedError)
        case .untrusted: self.cut(context: context, Self.untrustedError)
        case .moved(let notAfter):
            guard self.state == .active || self.state == .closing else { return }
            self.expiryLook?.cancel()
            self.checkExpiry(notAfter, context: context)
        }
    }

    /// Closes the connection if its chain has expired; otherwise schedules the next check.
    private func checkExpiry(_ notAfter: Int64, context: ChannelHandlerContext) {
        let left = notAfter - self.calendar()
        guard left >= 0 else {
            self.cut(context: context, Self.expiredError)
            return
        }
        // A certificate is valid during the whole of its last second.
        self.expiryLook = context.eventLoop.assumeIsolated().scheduleTask(
            in: .seconds(min(left + 1, Self.longestWait))
        ) {
            self.checkExpiry(notAfter, context: context)
        }
    }

    func deregister() {
        self.expiryLook?.cancel()
        self.expiryLook = nil
        guard let registration = self.registration else { return }
        self.registration = nil
        self.live?.deregister(registration)
    }

    /// Accepts nothing more from the peer, sends close_notify, and closes within ``finalWriteTimeout``, whatever the
    /// peer does.
    private func cut(context: ChannelHandlerContext, _ error: TLSError) {
        switch self.state {
        case .active, .closing:
            _ = self.engine.shutdown()
            self.fail(context: context, error, within: Self.finalWriteTimeout)
        case .idle, .handshaking, .finishing, .closed:
            break
        }
    }
}
