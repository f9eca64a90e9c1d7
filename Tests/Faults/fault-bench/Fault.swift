// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// A fault that the bench causes in a running relay.
enum Fault: String, CaseIterable, Sendable, ExpressibleByArgument {
    case killGuest = "guest killed"
    case killConductor = "conductor killed"
    case killBroker = "broker killed"
    case restartBroker = "broker restarted"
    case cutGuests = "guests' connections cut"
    case halfOpenGuests = "guests' answers lost"
    case blackHoleGuests = "guests in a black hole"
    case delayGuests = "guests delayed"
    case cutBroker = "broker's connections cut"
    case halfOpenBroker = "broker's answers lost"
    case blackHoleBroker = "broker in a black hole"
    case slowBroker = "broker slow"
    case deleteQueue = "queue deleted"
    case alarm = "memory alarm on and off"
    case clockJump = "clock jumps"
    case powerCut = "power cut"
    case fullDisk = "disk full"
    case readOnlyDisk = "disk read-only"
    case slowDisk = "disk stands still"

    /// The weight of this fault in the random choice. Faults with a restart of the broker, which takes many
    /// seconds, are rare; otherwise the broker would be starting for most of the run.
    var weight: Int {
        switch self {
        case .killGuest: 40
        case .killConductor: 30
        case .killBroker, .restartBroker, .alarm: 1
        case .blackHoleGuests, .blackHoleBroker, .halfOpenGuests, .halfOpenBroker: 2
        case .powerCut: 6
        default: 3
        }
    }

    /// Whether it needs a volume for a guest's spool.
    var needsVolume: Bool {
        switch self {
        case .powerCut, .fullDisk, .readOnlyDisk, .slowDisk: true
        default: false
        }
    }

    /// The proxy of a conductor that is disturbed, and the mode, if the fault is a lasting one of the network.
    var disturbance: (proxy: @Sendable (BenchConductor) -> CuttingProxy, mode: CuttingProxy.Mode)? {
        switch self {
        case .halfOpenGuests: ({ $0.guests }, .halfOpen)
        case .blackHoleGuests: ({ $0.guests }, .blackHole)
        case .delayGuests: ({ $0.guests }, .delay(milliseconds: .random(in: 20...500)))
        case .halfOpenBroker: ({ $0.broker }, .halfOpen)
        case .blackHoleBroker: ({ $0.broker }, .blackHole)
        case .slowBroker: ({ $0.broker }, .delay(milliseconds: .random(in: 20...500)))
        default: nil
        }
    }

    /// Returns a random fault, by the weights.
    static func random(withVolume: Bool, using generator: inout some RandomNumberGenerator) -> Fault {
        let candidates = Self.allCases.filter { withVolume || !$0.needsVolume }
        var left = Int.random(in: 0..<candidates.reduce(0) { $0 + $1.weight }, using: &generator)
        for fault in candidates {
            left -= fault.weight
            if left < 0 { return fault }
        }
        return .killGuest
    }
}
