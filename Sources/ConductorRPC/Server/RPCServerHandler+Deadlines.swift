// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore

// Closing of connections that are idle or slow.
extension RPCServerHandler {
    /// Starts the deadlines, once the peer has proved its identity. Until then the handshake has its own deadline.
    func startDeadlines(context: ChannelHandlerContext) {
        self.deadlines = ConnectionDeadlineStateMachine(
            idle: self.configuration.idleTimeout, line: self.configuration.lineTimeout, now: context.eventLoop.now)
        self.scheduleCheck(context: context)
    }

    /// Passes the result of a scan on to ``ConnectionDeadlineStateMachine``, and schedules the next check.
    func recordScan(isInLine: Bool, hasEnded: Bool, context: ChannelHandlerContext) {
        self.deadlines?.recordScan(isInLine: isInLine, hasEnded: hasEnded, now: context.eventLoop.now)
        self.scheduleCheck(context: context)
    }

    private func scheduleCheck(context: ChannelHandlerContext) {
        guard let next = self.deadlines?.next(now: context.eventLoop.now) else { return }
        // A check that comes too early does no harm; a timer for each read that ends within a line would.
        if let nextCheck, nextCheck.time <= next { return }
        self.nextCheck?.task.cancel()
        let task = context.eventLoop.assumeIsolated().scheduleTask(deadline: next) {
            self.nextCheck = nil
            self.checkDeadlines(context: context)
        }
        self.nextCheck = (task, next)
    }

    private func checkDeadlines(context: ChannelHandlerContext) {
        // A connection that drains or closes has its own deadline.
        guard self.state.keepsInput else { return }
        switch self.deadlines?.passed(now: context.eventLoop.now, isBusy: self.state.isBusy) {
        case nil: self.scheduleCheck(context: context)
        case .idle?:
            self.logger.debug(
                "Closed idle connection: limits.idle_timeout exceeded",
                metadata: ["peer": "\(self.peer.remoteAddress)"])
            context.close(promise: nil)
        case .line?:
            self.logger.debug(
                "Closed slow connection: limits.line_timeout exceeded before a line ended",
                metadata: ["peer": "\(self.peer.remoteAddress)"])
            self.leave(
                RPCError(
                    .tooSlow,
                    "A line had begun, and did not end in time. The connection is closed; send the request again."),
                context: context)
        }
    }
}
