// SPDX-License-Identifier: Apache-2.0

import NIOCore

@testable import TLSChannel

/// Two engines, and bytes carried between them by hand.
final class EnginePair {
    let client: TLSEngine
    let server: TLSEngine
    var clientError: TLSError?
    var serverError: TLSError?

    init(client: TLSConfiguration, server: TLSConfiguration, serverName: String = "localhost") throws {
        self.client = try TLSEngine(context: TLSContext(configuration: client), serverName: serverName)
        self.server = try TLSEngine(context: TLSContext(configuration: server), serverName: nil)
    }

    init(client: TLSContext, server: TLSContext) throws {
        self.client = try TLSEngine(context: client, serverName: "localhost")
        self.server = try TLSEngine(context: server, serverName: nil)
    }

    convenience init(_ identities: TestIdentities, serverName: String = "localhost") throws {
        try self.init(
            client: identities.clientConfiguration(), server: identities.serverConfiguration(), serverName: serverName)
    }

    /// Steps both sides until both have completed or nothing moves, and records their errors.
    func handshake() throws {
        var clientDone = false
        var serverDone = false
        var moved = true
        while moved {
            if !clientDone, self.clientError == nil {
                switch self.client.handshake() {
                case .complete: clientDone = true
                case .incomplete: break
                case .failed(let error): self.clientError = error
                }
            }
            moved = try Self.carry(self.client, self.server)
            if !serverDone, self.serverError == nil {
                switch self.server.handshake() {
                case .complete: serverDone = true
                case .incomplete: break
                case .failed(let error): self.serverError = error
                }
            }
            moved = try Self.carry(self.server, self.client) || moved
        }
        // With TLS 1.3 the server decides last: its alert reaches a client whose handshake seems complete.
        if clientDone, self.clientError == nil, case .failed(let error) = Self.readAll(self.client).outcome {
            self.clientError = error
        }
    }

    @discardableResult
    static func carry(_ from: TLSEngine, _ to: TLSEngine) throws -> Bool {
        guard let bytes = from.takeCiphertext() else { return false }
        try to.feed(bytes)
        return true
    }

    static func readAll(_ engine: TLSEngine) -> (bytes: ByteBuffer, outcome: TLSEngine.ReadOutcome) {
        var bytes = ByteBuffer()
        while true {
            let outcome = engine.read(into: &bytes)
            if case .bytes = outcome { continue }
            return (bytes, outcome)
        }
    }

    /// Writes on one side and reads everything on the other.
    static func send(_ bytes: ByteBuffer, _ from: TLSEngine, _ to: TLSEngine) throws -> ByteBuffer {
        if case .failed(let error) = from.write(bytes) { throw error }
        try self.carry(from, to)
        return self.readAll(to).bytes
    }
}

/// Returns the lengths of the TLS records in the bytes.
func recordLengths(_ ciphertext: ByteBuffer) -> [Int] {
    var rest = ciphertext
    var lengths: [Int] = []
    while rest.readSlice(length: 3) != nil, let length = rest.readInteger(as: UInt16.self) {
        rest.moveReaderIndex(forwardBy: Int(length))
        lengths.append(Int(length))
    }
    return lengths
}
