internal import Glibc
internal import NIOConcurrencyHelpers

/// Asks for host names' addresses on threads that can be left behind.
///
/// `getaddrinfo` takes as long as name servers make it, and nothing ends it. So librabbitmq, which calls it, is let near a
/// name only after the same question has been answered here in time; the second answer comes from the same servers at
/// once, or else in their time, which cannot be bounded. A thread that is left ends with its question; there is one at
/// the most for a name.
final class NameResolver: Sendable {
    /// Asks the system's resolver.
    static let system = NameResolver { name in
        var found: UnsafeMutablePointer<addrinfo>?
        if getaddrinfo(name, nil, nil, &found) == 0 { freeaddrinfo(found) }
    }

    private let ask: @Sendable (String) -> Void
    private let asked = NIOLockedValueBox<[String: ConditionLock<Bool>]>([:])

    /// - Parameter ask: returns when the name's addresses are known, or known not to be.
    init(ask: @escaping @Sendable (String) -> Void) { self.ask = ask }

    /// Blocks until the question for this name's addresses is answered, well or not.
    ///
    /// - Returns: false when it was not within this time.
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

    /// How many names are being asked for.
    var askedCount: Int { self.asked.withLockedValue { $0.count } }

    /// Whether this is an IP address, for which nobody needs to be asked.
    private static func isAddress(_ name: String) -> Bool {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &found) == 0 else { return false }
        freeaddrinfo(found)
        return true
    }
}
