// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import NIOCore
import NIOPosix
import TLSChannel

/// The conductor under attack, and the means of an attacker to reach it.
struct Target: Sendable {
    /// Its port on 127.0.0.1.
    let port: Int
    /// The directory of the certificates.
    let directory: String
    /// The number of connections for the attack that opens many.
    let connections: Int
    /// The counts of what happened.
    let tally = Tally()

    /// Returns an address of attackers: never one of well-behaved guests, and a different one for each guest.
    ///
    /// - Parameter number: any number; beyond the last address they repeat.
    static func address(_ number: Int) -> String { "127.0.0.\(2 + number % (Self.identities + 1))" }

    /// The number of instances for which attackers have certificates; by these they are guests like all others.
    static let identities = 8

    /// Returns the TLS context of one of these guests.
    ///
    /// - Parameter number: any number; the guests repeat.
    func guest(_ number: Int) throws -> TLSContext {
        try Self.context("\(self.directory)/guest-\(Self.instance(number))", roots: self.directory)
    }

    /// Returns the instance that this guest's certificate names.
    static func instance(_ number: Int) -> String { "bad-\(number % Self.identities)" }

    /// Returns the TLS context of a guest of one attack only: no other attack has used up its bytes, so its lines are
    /// read to their ends even in a short run.
    func guest(named name: String) throws -> TLSContext {
        try Self.context("\(self.directory)/guest-\(name)", roots: self.directory)
    }

    /// Returns the TLS context of a guest whose certificate names the tenant ``Requests/tenant``.
    func guestOfTenant(_ number: Int) throws -> TLSContext {
        try Self.context("\(self.directory)/guest-\(Self.instanceOfTenant(number))", roots: self.directory)
    }

    /// Returns the instance that this guest's certificate names.
    static func instanceOfTenant(_ number: Int) -> String { "tenant-\(number)" }

    /// Returns the TLS context of a peer with a certificate of another authority.
    func stranger() throws -> TLSContext {
        try Self.context("\(self.directory)/foreign/guest-stranger", roots: self.directory)
    }

    /// Returns a guest's TLS context.
    ///
    /// - Parameters:
    ///   - path: the path of its certificate and key, without the extension.
    ///   - roots: the directory of the authority that issued the conductor's certificate.
    static func context(_ path: String, roots: String) throws -> TLSContext {
        try TLSContext(
            configuration: TLSConfiguration(
                role: .client, certificateChain: .file("\(path).pem"), privateKey: .file("\(path).key"),
                trustRoots: .file("\(roots)/ca.pem"), applicationProtocols: [RPCProtocol.applicationProtocol]))
    }

    /// Lets workers repeat something, each one turn after the other, at a limited rate in total.
    ///
    /// - Parameters:
    ///   - count: the number of workers, and so of turns that can run at once.
    ///   - rate: the number of turns a second, of all workers. A late turn is not made up for.
    ///   - turn: called with the worker's number and the number of its turns so far. An error counts as a failed turn.
    func workers(
        _ count: Int, perSecond rate: Double, _ turn: @escaping @Sendable (Int, Int) async throws -> Void
    ) async {
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<count {
                group.addTask {
                    let interval = Duration.seconds(Double(count) / rate)
                    var next = ContinuousClock.now + interval * worker / count
                    var number = 0
                    while !Task.isCancelled {
                        try? await Task.sleep(until: next)
                        do {
                            try await turn(worker, number)
                        } catch {
                            self.tally.add("failed")
                        }
                        number += 1
                        next = max(next + interval, .now)
                    }
                }
            }
        }
    }
}
