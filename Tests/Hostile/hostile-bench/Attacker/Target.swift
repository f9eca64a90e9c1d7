// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import TLSChannel

/// The conductor under attack, and what an attacker has to meet it with.
struct Target: Sendable {
    /// Its port at 127.0.0.1.
    let port: Int
    /// The directory of the certificates.
    let directory: String
    /// How many connections the attack that opens many is to open.
    let connections: Int
    /// What happened.
    let tally = Tally()

    /// Where attackers come from: not from where well-behaved guests do, and each guest from an address of its own.
    ///
    /// - Parameter number: any; past the last they begin anew.
    static func address(_ number: Int) -> String { "127.0.0.\(2 + number % (Self.identities + 1))" }

    /// How many instances' certificates the attackers have; their guests are as good as others by their certificates.
    static let identities = 8

    /// The TLS of one of them.
    ///
    /// - Parameter number: any; they take turns.
    func guest(_ number: Int) throws -> TLSContext {
        try Self.context("\(self.directory)/guest-\(Self.instance(number))", roots: self.directory)
    }

    /// The instance that this one's certificate names.
    static func instance(_ number: Int) -> String { "bad-\(number % Self.identities)" }

    /// The TLS of a guest of one attack alone: no other attack has used up its bytes, so that in a short run too its lines are read
    /// to their ends.
    func guest(named name: String) throws -> TLSContext {
        try Self.context("\(self.directory)/guest-\(name)", roots: self.directory)
    }

    /// The TLS of a guest whose certificate names the tenant ``Requests/tenant``.
    func guestOfTenant(_ number: Int) throws -> TLSContext {
        try Self.context("\(self.directory)/guest-\(Self.instanceOfTenant(number))", roots: self.directory)
    }

    /// The instance that this guest's certificate names.
    static func instanceOfTenant(_ number: Int) -> String { "tenant-\(number)" }

    /// The TLS of somebody with a certificate that another authority has issued.
    func stranger() throws -> TLSContext {
        try Self.context("\(self.directory)/foreign/guest-stranger", roots: self.directory)
    }

    /// A guest's TLS.
    ///
    /// - Parameters:
    ///   - path: its certificate and key, up to the ending.
    ///   - roots: the directory of the authority that the conductor's certificate is from.
    static func context(_ path: String, roots: String) throws -> TLSContext {
        try TLSContext(
            configuration: TLSConfiguration(
                role: .client, certificateChain: .file("\(path).pem"), privateKey: .file("\(path).key"),
                trustRoots: .file("\(roots)/ca.pem")))
    }

    /// Has workers do something again and again, one after the other each, so often a second at most all together.
    ///
    /// - Parameters:
    ///   - count: how many workers: as many can be at it at a time.
    ///   - rate: how often a second, all together. Who is late does not make up for it.
    ///   - turn: told the worker's number, and how often it has done it before. What it throws counts as failed.
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
