// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import NIOConcurrencyHelpers

/// A request handler that keeps every completion until the test calls it.
final class HeldRequests: RPCRequestHandler {
    let completions = NIOLockedValueBox<[@Sendable (RPCResult) -> Void]>([])
    let rejections = NIOLockedValueBox<[RPCError.Code]>([])

    func handle(_ call: RPCCall, from peer: RPCPeer, completion: @escaping @Sendable (RPCResult) -> Void) {
        self.completions.withLockedValue { $0.append(completion) }
    }

    /// The number of long calls that were prepared.
    let prepared = NIOLockedValueBox(0)

    func prepare(_ call: RPCCall, from peer: RPCPeer) -> PreparedCall {
        self.prepared.withLockedValue { $0 += 1 }
        return PreparedCall { self.handle(call, from: peer, completion: $0) }
    }

    /// The number of calls that had arrived at each flush.
    let flushes = NIOLockedValueBox<[Int]>([])

    func flush() { self.flushes.withLockedValue { $0.append(self.count) } }

    func recordRejection(_ code: RPCError.Code, from peer: RPCPeer) {
        self.rejections.withLockedValue { $0.append(code) }
    }

    var count: Int { self.completions.withLockedValue { $0.count } }

    func answerFirst() {
        let completion = self.completions.withLockedValue { $0.isEmpty ? nil : $0.removeFirst() }
        completion?(.success(.pong(version: "t")))
    }
}
