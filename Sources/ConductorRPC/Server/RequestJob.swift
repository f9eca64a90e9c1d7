// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import Notifications

/// The job that carries out the request of one line.
///
/// A long line would keep an event loop from its other connections. So its request is prepared on a background thread
/// and carried out on the connection's event loop. Background threads have a low priority, so locks that event loops
/// wait for, such as those of the relay's ledger and of the publisher's inbox, are used on event loops only.
struct RequestJob: Sendable {
    let handler: any RPCRequestHandler
    let peer: RPCPeer
    let outbox: AnswerOutbox
    let logger: Logger
    /// The time after which the request would be within the peer's rate limit; nil when it is within the limit now.
    let wait: TimeAmount?

    /// A line that was read, and whose request's slow part is done.
    struct PreparedRequest: Sendable {
        fileprivate enum Content: Sendable {
            case call(PreparedCall, id: RPCID?)
            case rejection(RPCRequestError)
        }

        fileprivate let content: Content
        fileprivate let bytes: Int
    }

    /// Reads the line, hands its request to the handler, and puts the answer into the outbox. The caller flushes the
    /// handler.
    ///
    /// Called on the connection's event loop.
    func carryOut(_ line: ByteBuffer) {
        self.outbox.eventLoop.assertInEventLoop()
        let bytes = line.readableBytes
        do throws(RPCRequestError) {
            let request = try self.read(line)
            self.handler.handle(request.call, from: self.peer, completion: self.answer(request.id, bytes))
        } catch {
            self.reject(error, bytes)
        }
    }

    /// Reads the line, and lets the handler do the slow part of its request. Called on any thread.
    func prepare(_ line: ByteBuffer) -> PreparedRequest {
        let bytes = line.readableBytes
        do throws(RPCRequestError) {
            let request = try self.read(line)
            let call = self.handler.prepare(request.call, from: self.peer)
            return PreparedRequest(content: .call(call, id: request.id), bytes: bytes)
        } catch {
            return PreparedRequest(content: .rejection(error), bytes: bytes)
        }
    }

    /// Does the rest of a prepared request, and puts the answer into the outbox. The caller flushes the handler.
    ///
    /// Called on the connection's event loop.
    func carryOut(_ request: PreparedRequest) {
        self.outbox.eventLoop.assertInEventLoop()
        switch request.content {
        case .call(let call, let id): call.carryOut(completion: self.answer(id, request.bytes))
        case .rejection(let error): self.reject(error, request.bytes)
        }
    }

    private func read(_ line: ByteBuffer) throws(RPCRequestError) -> RPCRequest {
        // A request that is not carried out is read too: its answer needs the id.
        let request = try RPCRequest(line: line)
        if let wait = self.wait {
            throw RPCRequestError(id: request.id, error: .rateLimited(retryAfter: wait))
        }
        return request
    }

    /// Returns the completion that puts the request's answer into the outbox. The completion holds only the id: a
    /// request in flight must not keep its JSON, which takes many times the memory of its line.
    private func answer(_ id: RPCID?, _ bytes: Int) -> @Sendable (RPCResult) -> Void {
        { [outbox] result in outbox.append(.init(id: id, result: result, requestBytes: bytes)) }
    }

    private func reject(_ error: RPCRequestError, _ bytes: Int) {
        self.logger.debug(
            "Rejected request",
            metadata: ["peer": "\(self.peer.remoteAddress)", "error": "\(error.error)"])
        self.handler.recordRejection(error.error.code, from: self.peer)
        self.outbox.append(.init(id: error.id, result: .failure(error.error), requestBytes: bytes))
    }
}
