internal import CConductorRabbitMQ
internal import Glibc

/// An eventfd: any thread signals it, one thread sleeps on it in `poll`.
final class WakeUp: Sendable {
    let descriptor: Int32

    init() throws(SystemError) {
        // Once it is assigned `deinit` runs, also when this throws, and closes it.
        let descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard descriptor >= 0 else { throw SystemError("eventfd", errno) }
        self.descriptor = descriptor
    }

    deinit {
        close(self.descriptor)
    }

    func signal() {
        // Fails only when 2^64 - 2 signals are pending, and then the sleeper is awake already.
        _ = eventfd_write(self.descriptor, 1)
    }

    func clear() {
        var count: eventfd_t = 0
        _ = eventfd_read(self.descriptor, &count)
    }

    /// Sleeps until signalled, until `other` is readable or broken, or until `timeout` has passed (nil: no bound).
    func wait(alsoFor other: Int32? = nil, timeout: Duration?) {
        var descriptors = [pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)]
        if let other { descriptors.append(pollfd(fd: other, events: Int16(POLLIN), revents: 0)) }
        // Rounded up: a deadline that is a fraction of a millisecond away must not be polled for in a tight loop.
        let milliseconds = timeout.map { min(max($0.wholeMilliseconds + 1, 0), 60_000) } ?? -1
        // EINTR is a wake-up for nothing, which every caller stands.
        _ = poll(&descriptors, nfds_t(descriptors.count), Int32(milliseconds))
        if descriptors[0].revents != 0 { self.clear() }
    }
}

/// A system call that failed for want of a resource (descriptors, threads).
struct SystemError: Error, CustomStringConvertible {
    let description: String

    init(_ call: String, _ code: Int32) {
        self.description = "\(call) failed: \(String(cString: strerror(code)))"
    }
}

extension Duration {
    /// Rounded down, and at most some 24 days.
    var wholeMilliseconds: Int {
        let (seconds, attoseconds) = self.components
        return Int(max(min(seconds, 2_000_000), -2_000_000)) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
    }

    /// For C. Not negative.
    var timeval: timeval {
        let (seconds, attoseconds) = max(self, .zero).components
        return Glibc.timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
    }
}
