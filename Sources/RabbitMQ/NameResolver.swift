// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import NIOConcurrencyHelpers
import Timing

/// A resolver of host names that runs on threads which can be abandoned.
///
/// `getaddrinfo` takes as long as the name servers take, and nothing can interrupt it. librabbitmq calls it too, so
/// librabbitmq gets a name only after the same query was answered here in time. Its own query goes to the same servers,
/// and is answered at once or else after a time that cannot be limited. An abandoned thread ends with its query; there
/// is at most one thread for a name.
final class NameResolver: Sendable {
    /// The resolver that asks the system.
    static let system = NameResolver { name in
        var found: UnsafeMutablePointer<addrinfo>?
        if getaddrinfo(name, nil, nil, &found) == 0 { freeaddrinfo(found) }
    }

    private let ask: @Sendable (String) -> Void
    private let asked = NIOLockedValueBox<[String: ConditionLock<Bool>]>([:])

    /// - Parameter ask: looks up the name's addresses, and returns when the lookup has succeeded or failed.
    init(ask: @escaping @Sendable (String) -> Void) { self.ask = ask }

    /// Blocks until the lookup of this name's addresses has succeeded or failed.
    ///
    /// - Returns: false when that took longer than the time limit.
    func answers(_ name: String, within limit: Duration) throws(SystemError) -> Bool {
        if Self.isAddress(name) { return true }
        let (answer, isNew) = self.asked.withLockedValue { asked in
            if let answer = asked[name] { return (answer, false) }
            let answer = ConditionLock(value: false)
            asked[name] = answer
            return (answer, true)
        }
        if isNew {
            do throws(SystemError) {
                try DedicatedThread.start(name: "rabbit-resolve") {
                    self.ask(name)
                    self.asked.withLockedValue { $0[name] = nil }
                    answer.lock()
                    answer.unlock(withValue: true)
                }.detach()
            } catch {
                self.asked.withLockedValue { $0[name] = nil }
                throw error
            }
        }
        guard answer.lock(whenValue: true, timeoutSeconds: Double(limit.wholeMilliseconds) / 1000) else { return false }
        answer.unlock()
        return true
    }

    /// The number of names that are being looked up.
    var askedCount: Int { self.asked.withLockedValue { $0.count } }

    /// Whether this is an IP address, which needs no lookup.
    private static func isAddress(_ name: String) -> Bool {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &found) == 0 else { return false }
        freeaddrinfo(found)
        return true
    }
}
