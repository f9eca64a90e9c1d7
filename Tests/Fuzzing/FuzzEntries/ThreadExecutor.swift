// SPDX-License-Identifier: Apache-2.0

import Dispatch
import NIOConcurrencyHelpers

/// Runs asynchronous work on the thread that waits for it.
///
/// On a thread of the concurrency pool a task's memory would be freed a moment after its result is available. The
/// fuzzer, which counts allocations and deallocations of an input, would treat that as a leak, and search all memory
/// after every input.
final class ThreadExecutor: TaskExecutor {
    private let jobs = NIOLockedValueBox<[UnownedJob]>([])
    private let hasWork = DispatchSemaphore(value: 0)

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        self.jobs.withLockedValue { $0.append(job) }
        self.hasWork.signal()
    }

    /// Runs the work, and returns its result.
    static func wait<Value: Sendable>(for work: @escaping @Sendable () async -> Value) -> Value {
        let executor = ThreadExecutor()
        let result = NIOLockedValueBox<Value?>(nil)
        Task(executorPreference: executor) {
            let value = await work()
            result.withLockedValue { $0 = value }
        }
        while true {
            if let value = result.withLockedValue({ $0 }) { return value }
            executor.hasWork.wait()
            let job = executor.jobs.withLockedValue { $0.removeFirst() }
            job.runSynchronously(on: executor.asUnownedTaskExecutor())
        }
    }
}
