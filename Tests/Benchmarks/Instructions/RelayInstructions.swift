import ConductorRPC
import ConductorService
import Foundation
import Logging
import NIOCore
import Notifications
import Notifier
import TLSSocket

/// `relay-instructions COUNT`: so many reports from the line to the answer, in this process: cut, read, checked, redacted, put into
/// oslo's envelope, counted, answered. No network, no broker, no threads: `Tests/Benchmarks/instructions` counts what it executes.
@main
enum RelayInstructions {
    private static let instance = "2f4a9c1e-6d0b-4b7e-9d53-3f1f0c7a55aa"
    /// How many requests come in one read, as they do when they are pipelined.
    private static let batch = 16

    static func main() throws {
        guard CommandLine.arguments.count == 2, let count = Int(CommandLine.arguments[1]), count > 0 else {
            FileHandle.standardError.write(Data("usage: relay-instructions COUNT\n".utf8))
            exit(64)
        }
        let peer = RPCPeer(
            certificate: PeerCertificate(
                commonName: nil, uris: ["spiffe://conductor.test/instance/\(Self.instance)"], dnsNames: [],
                serialNumber: "01", notBefore: 0, notAfter: .max, sha256: ""),
            remoteAddress: "192.0.2.9:5", localAddress: "192.0.2.1:8790")
        let relay = Relay(
            notifier: Notifier(drivers: [EncodingDriver()]), catalogues: .builtIn, publisherID: "conductor.bench",
            logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() })
        var splitter = LineSplitter(maximumLength: 1 << 20)
        var (number, answered) = (0, 0)
        while number < count {
            var read = ByteBuffer()
            for _ in 0..<min(Self.batch, count - number) {
                number += 1
                read.writeBytes(Self.line(number))
            }
            splitter.append(read)
            var writer = JSONWriter()
            while case .line(let line)? = splitter.next() {
                let request = try RPCRequest(line: line)
                let answer = Answer()
                relay.handle(request.call, from: peer) { answer.result = $0 }
                guard case .success(.taken(_, .published))? = answer.result, let id = request.id else {
                    throw CountingError(description: "a report was answered \(answer.result as Any)")
                }
                RPCResponse(id: id, result: .success(.taken(MessageID(), .published))).write(to: &writer)
                answered += 1
            }
            relay.flush()
            guard writer.bytes.count > 0 else { throw CountingError(description: "nothing was answered") }
        }
        guard answered == count, relay.counters.published == count else {
            throw CountingError(description: "\(answered) of \(count) reports were answered")
        }
    }

    /// As a guest writes it; only the numbers differ.
    private static func line(_ number: Int) -> [UInt8] {
        let digits = String(1_000_000_000_000 + number).dropFirst()
        let text = """
            {"jsonrpc":"2.0","id":\(number),"method":"notify_end","params":{"context":{"operation":"database_create",\
            "request_id":"req-7c6d2a52-0d54-4c8e-9f57-\(digits)","tenant_id":"1bd1a8a1d0e74f5d9f0a8f0e9f1f3b6c",\
            "user_id":"6f0d6d0f2c5b4a7e8d9c0b1a2f3e4d5c","client_ip":"192.0.2.7",\
            "payload":{"instance_id":"\(Self.instance)","dbname":"shop"}},\
            "message_id":"3f1c2d4e-5a6b-4c7d-8e9f-\(digits)","timestamp":"2026-01-01 12:00:00.000000"}}\n
            """
        return Array(text.utf8)
    }
}

/// Makes the message that a broker would get, and vouches for it.
private struct EncodingDriver: NotificationDriver {
    let name = "encoding"

    func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        let body = Envelope.messagingv2.encode(notification)
        completion(body.isEmpty ? .failure(DriverError(.refused, driver: self.name, reason: "no body")) : .success(()))
    }
}

/// The relay answers before it returns here: the driver does.
private final class Answer: @unchecked Sendable {
    // Used on the one thread that there is.
    var result: RPCResult?
}

private struct CountingError: Error, CustomStringConvertible {
    let description: String
}
