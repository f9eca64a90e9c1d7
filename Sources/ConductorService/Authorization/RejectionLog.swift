// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import Logging
import NIOConcurrencyHelpers
import NIOCore

/// A log of guests that were rejected because of their identity or their permissions.
struct RejectionLog: Sendable {
    private let authorization: GuestAuthorization
    private let logger: Logger
    private let notices = NIOLockedValueBox(GuestLogLimitStateMachine())

    init(_ authorization: GuestAuthorization, logger: Logger) {
        self.authorization = authorization
        self.logger = logger
    }

    /// Logs a rejection if its reason is the guest's identity or permissions. Above debug level it logs at most one
    /// line a minute for each guest, so that no guest fills the log.
    func log(_ error: RPCError, _ peer: RPCPeer, now: NIODeadline = .now()) {
        guard error.code == .notPermitted || error.code == .unauthenticated else { return }
        let line = self.notices.withLockedValue { $0.record(peer.identity, now: now) }
        let level: Logger.Level = line == nil ? .debug : .warning
        guard level >= self.logger.logLevel else { return }
        var metadata: Logger.Metadata = [
            "peer": "\(peer.remoteAddress)", "reason": "\(error.code.reason)", "problem": "\(error.message)",
        ]
        if let line, line.before > 0 { metadata["before"] = "\(line.before)" }
        if let line, line.beforeOfOthers > 0 { metadata["before_of_others"] = "\(line.beforeOfOthers)" }
        if let guest = self.authorization.namedGuest(peer) { metadata["guest"] = "\(guest)" }
        self.logger.log(level: level, "Rejected a guest", metadata: metadata)
    }
}
