// SPDX-License-Identifier: Apache-2.0

internal import CConductorRabbitMQ
internal import Glibc

/// A thread for blocking work, which must not run in the cooperative pool or on an event loop.
struct DedicatedThread {
    private let thread: pthread_t

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a thread that runs `body`.
    ///
    /// - Parameter name: At most 15 bytes; shown by `top -H` and debuggers.
    static func start(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) -> DedicatedThread {
        let argument = Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, argument.toOpaque())
        guard code == 0 else {
            argument.release()
            throw SystemError("pthread_create", code)
        }
        conductor_name_thread(thread, name)
        return DedicatedThread(thread: thread)
    }

    /// Blocks until the thread has ended. Call it once.
    func join() {
        pthread_join(self.thread, nil)
    }

    /// Lets the system release the thread when it ends. Call it instead of ``join()``.
    func detach() { pthread_detach(self.thread) }

    /// Runs `body` on a new thread and returns when that thread has ended, without blocking the caller's thread.
    static func run(name: String, _ body: @escaping @Sendable () -> Void) async throws {
        let thread = try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<DedicatedThread, any Error>) in
            do {
                _ = try DedicatedThread.start(name: name) {
                    body()
                    continuation.resume(returning: DedicatedThread(thread: pthread_self()))
                }
            } catch {
                continuation.resume(throwing: error)
            }
        }
        // The thread resumed this task as its last action, so this waits for a few instructions at most.
        thread.join()
    }
}
