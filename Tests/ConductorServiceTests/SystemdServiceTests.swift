// SPDX-License-Identifier: Apache-2.0

import ConductorService
import Dispatch
import Foundation
import Glibc
import LogTesting
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import ProcessTesting
import ServiceLifecycle
import Testing

/// The watchdog's notification depends on every event loop.
@Suite(.timeLimit(.minutes(1))) struct SystemdServiceTests {
    @Test("While an event loop hangs, the watchdog is not notified")
    func hangingEventLoop() async throws {
        let listener = try NotifySocketListener("@conductor-test-\(UUID().uuidString.prefix(8))")
        defer { listener.stop() }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let service = SystemdService(
            environment: ["NOTIFY_SOCKET": listener.name, "WATCHDOG_USEC": "20000"], processID: 1, group: group,
            logger: LogRecorder().logger)
        let run = Task { try await service.run() }
        var messages = listener.messages.makeAsyncIterator()
        #expect(await messages.next() == "WATCHDOG=1")

        let (hanging, answering) = (group.next(), group.next())
        let letGo = DispatchSemaphore(value: 0)
        let (hangs, hasBegun) = AsyncStream.makeStream(of: Void.self)
        hanging.execute {
            hasBegun.finish()
            letGo.wait()
        }
        for await _ in hangs {}
        // Time for ten notifications and more: the other loop continues.
        try await answering.scheduleTask(in: .milliseconds(200)) {}.futureResult.get()
        let socket = try #require(NotifySocket(listener.name))
        #expect(socket.send("MARK") == 0)
        var words = 0
        while let message = await messages.next(), message != "MARK" { words += 1 }
        // The one that was in flight.
        #expect(words <= 1)
        letGo.signal()
        #expect(await messages.next() == "WATCHDOG=1")
        run.cancel()
        _ = await run.result
        try await group.shutdownGracefully()
    }

    @Test("While the conductor is not healthy, the watchdog is not notified")
    func unhealthyConductor() async throws {
        let listener = try NotifySocketListener("@conductor-test-\(UUID().uuidString.prefix(8))")
        defer { listener.stop() }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let isHealthy = NIOLockedValueBox(true)
        let service = SystemdService(
            environment: ["NOTIFY_SOCKET": listener.name, "WATCHDOG_USEC": "20000"], processID: 1, group: group,
            isHealthy: { isHealthy.withLockedValue { $0 } }, logger: LogRecorder().logger)
        let run = Task { try await service.run() }
        var messages = listener.messages.makeAsyncIterator()
        #expect(await messages.next() == "WATCHDOG=1")
        isHealthy.withLockedValue { $0 = false }
        let socket = try #require(NotifySocket(listener.name))
        #expect(socket.send("BEGIN") == 0)
        // Time for ten notifications and more.
        try await group.next().scheduleTask(in: .milliseconds(200)) {}.futureResult.get()
        #expect(socket.send("END") == 0)
        while let message = await messages.next(), message != "BEGIN" {}
        var words = 0
        while let message = await messages.next(), message != "END" { words += 1 }
        // The one that was in flight.
        #expect(words <= 1)
        isHealthy.withLockedValue { $0 = true }
        #expect(await messages.next() == "WATCHDOG=1")
        run.cancel()
        _ = await run.result
        try await group.shutdownGracefully()
    }

    @Test("Notifications for which systemd's socket has no space are sent again in order")
    func fullNotifySocket() async throws {
        let listener = try NotifySocketListener("@conductor-test-\(UUID().uuidString.prefix(8))", isBusy: true)
        defer { listener.stop() }
        let service = SystemdService(
            environment: ["NOTIFY_SOCKET": listener.name], processID: 1, logger: LogRecorder().logger)
        let socket = try #require(NotifySocket(listener.name))
        var failure: Int32 = 0
        while failure == 0 { failure = socket.send("FILL") }
        try #require(failure == EAGAIN)
        service.ready()
        service.reloading()
        let run = Task { try await service.run() }
        service.reloaded()
        listener.begin()
        var words: [String] = []
        for await message in listener.messages where message != "FILL" {
            words.append(String(message.prefix { $0 != "\n" }))
            if words.count == 3 { break }
        }
        #expect(words == ["READY=1", "RELOADING=1", "READY=1"])
        run.cancel()
        _ = await run.result
    }
}
