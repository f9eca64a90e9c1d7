// SPDX-License-Identifier: Apache-2.0

/// One kind of attack. It runs in a process of its own, until that process is ended.
protocol Attack: Sendable {
    /// Its name on the command line and in the report.
    static var name: String { get }
    /// The counts that must not be zero; otherwise it was no attack.
    static var mustHappen: [String] { get }
    /// The counts that must be zero; otherwise the attack succeeded.
    static var mustNotHappen: [String] { get }
    /// Whether it ends when it has done its work, and not when its time is up.
    static var endsByItself: Bool { get }
    /// Whether it runs against a conductor whose broker is slow, and against no other.
    static var needsSlowBroker: Bool { get }

    init()

    /// Attacks, and continues to do so unless ``endsByItself``.
    func run(_ target: Target) async throws
}

extension Attack {
    static var mustNotHappen: [String] { [] }
    static var endsByItself: Bool { false }
    static var needsSlowBroker: Bool { false }
}

/// All attacks, in the order in which they run.
enum Attacks {
    static let all: [any Attack.Type] = [
        SlowHandshakes.self, FullEntrance.self, HelloFlood.self, Strangers.self, ConnectAndClose.self, Garbage.self,
        EarlyData.self,
        Renegotiation.self, ManyConnections.self, SlowLines.self, HalfClosed.self, LongLines.self, Nesting.self,
        BlankLines.self, SmallRecords.self,
        CollidingIDs.self, RefusedRequests.self, OneTenant.self,
        LargeRequests3.self, LargeRequests12.self, LargeRequestsOf4Guests.self,
    ]

    /// Returns the attack with this name.
    static func named(_ name: String) -> (any Attack.Type)? { self.all.first { $0.name == name } }
}
