// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import Foundation
import LogTesting
import NIOCore
import Notifications
import Notifier
import TLSChannel

/// `relay-instructions COUNT [--no-audit]`: processes this many reports from the line to the answer, in this process.
/// Each is split off, read, checked, redacted, put into oslo's envelope, counted and answered, and its audit line is
/// written to /dev/null. No network, no broker, no threads: `Tests/Benchmarks/instructions` counts the executed
/// instructions.
@main
enum RelayInstructions {
    private static let instance = "2f4a9c1e-6d0b-4b7e-9d53-3f1f0c7a55aa"
    /// The number of requests in one read, as when they are pipelined.
    private static let batch = 16

    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard let count = arguments.first.flatMap({ Int($0) }), count > 0,
            ["--no-audit"].starts(with: arguments.dropFirst())
        else {
            FileHandle.standardError.write(Data("usage: relay-instructions COUNT [--no-audit]\n".utf8))
            exit(64)
        }
        let audit = arguments.count == 1 ? try BatchedAudit() : nil
        let certificate = PeerCertificate(
            commonName: nil, uris: ["spiffe://conductor.test/instance/\(Self.instance)"], dnsNames: [],
            serialNumber: "01", notBefore: 0, notAfter: .max, sha256: "")
        let relay = Relay(
            notifier: Notifier(drivers: [EncodingDriver()]), catalogues: .builtIn, publisherID: "conductor.bench",
            audit: audit?.audit,
            logger: .quiet)
        let peer = RPCPeer(
            certificate: certificate, identity: relay.identity(of: certificate), remoteAddress: "192.0.2.9:5",
            localAddress: "192.0.2.1:8790")
        var splitter = LineSplitter(maximumLength: 1 << 20)
        var (number, answered) = (0, 0)
        var line = ReportLine(instance: Self.instance)
        while number < count {
            var read = ByteBuffer()
            for _ in 0..<min(Self.batch, count - number) {
                number += 1
                line.number(number)
                read.writeBytes(line.bytes)
            }
            splitter.append(read)
            var writer = JSONWriter()
            while case .line(let text)? = splitter.next() {
                let request = try RPCRequest(line: text)
                let answer = Answer()
                relay.handle(request.call, from: peer) { answer.result = $0 }
                guard let result = answer.result, case .success(.accepted(_, .published)) = result, let id = request.id
                else {
                    throw CountingError(description: "a report was answered \(answer.result as Any)")
                }
                RPCResponse(id: id, result: result).write(to: &writer)
                answered += 1
            }
            relay.flush()
            audit?.write()
            guard writer.bytes.count > 0 else { throw CountingError(description: "nothing was answered") }
        }
        guard answered == count, relay.counters.published == count else {
            throw CountingError(description: "\(answered) of \(count) reports were answered")
        }
        guard audit?.isWhole(count) ?? true else { throw CountingError(description: "audit lines are missing") }
    }
}

/// Writes audit lines like `conductor serve`, but in this thread and to /dev/null, once for the reports of one read.
///
/// @unchecked: it is used on the only thread.
private final class BatchedAudit: @unchecked Sendable {
    private var work: [@Sendable () -> Void] = []
    private let file: FileHandle
    private var lines = 0
    private(set) lazy var audit = AuditLog(
        warnings: .quiet, execute: { self.work.append($0) }
    ) { records in
        self.lines += records.count
        try? self.file.write(contentsOf: Data(AuditRecord.lines(of: records).utf8))
    }

    init() throws {
        guard let file = FileHandle(forWritingAtPath: "/dev/null") else {
            throw CountingError(description: "/dev/null cannot be opened")
        }
        self.file = file
    }

    func write() {
        for work in self.work { work() }
        self.work = []
    }

    func isWhole(_ count: Int) -> Bool { self.lines == count }
}

/// The line of a report as a guest writes it. Only the digits at its places change, so that building lines is a
/// negligible part of the count.
private struct ReportLine {
    private(set) var bytes: [UInt8]
    /// The indices of the last digits.
    private let places: [Int]
    private static let digits = 12

    init(instance: String) {
        let zeros = String(repeating: "0", count: Self.digits)
        let text = """
            {"jsonrpc":"2.0","id":"\(zeros)","method":"notify_end","params":{"context":{"operation":"database_create",\
            "request_id":"req-7c6d2a52-0d54-4c8e-9f57-\(zeros)","tenant_id":"1bd1a8a1d0e74f5d9f0a8f0e9f1f3b6c",\
            "user_id":"6f0d6d0f2c5b4a7e8d9c0b1a2f3e4d5c","client_ip":"192.0.2.7",\
            "payload":{"instance_id":"\(instance)","dbname":"shop"}},\
            "message_id":"3f1c2d4e-5a6b-4c7d-8e9f-\(zeros)","timestamp":"2026-01-01 12:00:00.123456"}}\n
            """
        self.bytes = Array(text.utf8)
        self.places = text.ranges(of: zeros).map { text.utf8.distance(from: text.startIndex, to: $0.upperBound) - 1 }
    }

    mutating func number(_ number: Int) {
        for place in self.places {
            var rest = number
            for offset in 0..<Self.digits {
                self.bytes[place - offset] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            }
        }
    }
}

/// Encodes the message as for a broker, and confirms it.
private struct EncodingDriver: BatchingDriver {
    let name = "encoding"

    func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        let body = Envelope.messagingv2.encode(notification)
        completion(body.isEmpty ? .failure(DriverError(.rejected, driver: self.name, reason: "no body")) : .success(()))
    }
}

/// The answer, which is there when the relay returns, because the driver answers before.
private final class Answer: @unchecked Sendable {
    // Used on the only thread.
    var result: RPCResult?
}

private struct CountingError: Error, CustomStringConvertible {
    let description: String
}
