// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// A thread whose start can fail without ending the process.
enum POSIXThread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a thread that runs the body.
    ///
    /// - Throws: the system's error when no thread can be created.
    static func start(_ body: @escaping @Sendable () -> Void) throws(Errno) {
        let retained = unsafe Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        let number = unsafe pthread_create(
            &thread, nil,
            { context in
                if let context = unsafe context {
                    unsafe Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
                }
                return nil
            }, retained.toOpaque())
        guard number == 0 else {
            unsafe retained.release()
            throw Errno(rawValue: number)
        }
        pthread_detach(thread)
    }
}
