import Logging
import NIOCore
import Notifications

/// Carries out the request of one line, on any thread: a long line would keep an event loop from its other connections, when it is read
/// and still more when it is made into a message.
struct RequestJob: Sendable {
    let handler: any RPCRequestHandler
    let peer: RPCPeer
    let outbox: AnswerOutbox
    let logger: Logger
    /// After how long the request would be in the peer's share; nil for one that is.
    let wait: TimeAmount?

    /// Reads the line, hands its request to the handler, and puts the answer into the outbox. The handler's flush is left to the caller.
    func carryOut(_ line: ByteBuffer) {
        let bytes = line.readableBytes
        do throws(RPCRequestError) {
            // Also of one that is not carried out: its answer needs the id.
            let request = try RPCRequest(line: line)
            if let wait = self.wait {
                throw RPCRequestError(id: request.id, error: .rateLimited(retryAfter: wait))
            }
            // The id alone: while it is in flight a request must not keep its JSON, which is many times its line.
            self.handler.handle(request.call, from: self.peer) { [outbox, id = request.id] result in
                outbox.append(.init(id: id, result: result, requestBytes: bytes))
            }
        } catch {
            self.logger.debug(
                "A request was refused",
                metadata: ["peer": "\(self.peer.remoteAddress)", "error": "\(error.error)"])
            self.handler.refused(error.error.code, from: self.peer)
            self.outbox.append(.init(id: error.id, result: .failure(error.error), requestBytes: bytes))
        }
    }
}
