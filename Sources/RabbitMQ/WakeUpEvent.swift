// SPDX-License-Identifier: Apache-2.0

internal import CConductorRabbitMQ
internal import Glibc
import Timing

/// An eventfd that any thread can signal, and on which one thread sleeps in `poll`.
final class WakeUpEvent: Sendable {
    let descriptor: Int32

    init() throws(SystemError) {
        // Checked before it is assigned: once it is, `deinit` runs even when this throws, and closes the descriptor.
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

    /// Sleeps until a signal, until `other` is readable or broken, or until `timeout` has passed (at most 60 seconds;
    /// nil for no limit). May return earlier.
    func wait(alsoFor other: Int32? = nil, timeout: Duration?) {
        var descriptors = [pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)]
        if let other { descriptors.append(pollfd(fd: other, events: Int16(POLLIN), revents: 0)) }
        // EINTR is a spurious wake-up, which every caller tolerates.
        _ = poll(&descriptors, nfds_t(descriptors.count), timeout?.pollTimeout ?? -1)
        if descriptors[0].revents != 0 { self.clear() }
    }
}

/// A system call that failed because a resource is exhausted (descriptors, threads).
struct SystemError: Error, CustomStringConvertible {
    let description: String

    init(_ call: String, _ code: Int32) {
        self.description = "\(call) failed: \(String(cString: strerror(code)))"
    }
}
