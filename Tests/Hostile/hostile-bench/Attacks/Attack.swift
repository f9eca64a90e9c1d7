// SPDX-License-Identifier: Apache-2.0

/// One way to be a nuisance. It runs in a process of its own, until that is ended.
protocol Attack: Sendable {
    /// The word for it on the command line and in the report.
    static var name: String { get }
    /// What of it must have happened, by the tally, or it was no attack.
    static var mustHappen: [String] { get }
    /// What must not, or it got somewhere.
    static var mustNotHappen: [String] { get }
    /// Whether it is over when it has done its work, and not when its time is up.
    static var endsByItself: Bool { get }
    /// Whether it is tried on a conductor whose broker is slow, and on no other.
    static var needsSlowBroker: Bool { get }

    init()

    /// Attacks, and goes on doing so unless ``endsByItself``.
    func run(_ target: Target) async throws
}

extension Attack {
    static var mustNotHappen: [String] { [] }
    static var endsByItself: Bool { false }
    static var needsSlowBroker: Bool { false }
}

/// All attacks, in the order that they are run in.
enum Attacks {
    static let all: [any Attack.Type] = [
        SlowHandshakes.self, FullEntrance.self, HelloFlood.self, Strangers.self, ConnectAndClose.self, Garbage.self,
        EarlyData.self,
        Renegotiation.self, ManyConnections.self, SlowLines.self, HalfClosed.self, LongLines.self, Nesting.self,
        BlankLines.self, SmallRecords.self,
        CollidingIDs.self, RefusedRequests.self, OneTenant.self,
        LargeRequests3.self, LargeRequests12.self, LargeRequestsOf4Guests.self,
    ]

    /// The attack of this name.
    static func named(_ name: String) -> (any Attack.Type)? { self.all.first { $0.name == name } }
}
