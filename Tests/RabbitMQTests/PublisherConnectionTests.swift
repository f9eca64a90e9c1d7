// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import DriverErrors
import Foundation
import LogTesting
import Logging
import NIOConcurrencyHelpers
import Testing

@testable import RabbitMQ

@Suite("Publisher with failing connections", .timeLimit(.minutes(5)))
struct PublisherConnectionTests {
    let broker: TestBroker
    let client: BrokerClient
    let names = UniqueTopic()

    init() throws {
        self.broker = try TestBroker.shared()
        self.client = BrokerClient(self.broker)
    }

    private func configuration(_ url: String) throws -> PublisherConfiguration {
        try quickConfiguration(url, exchange: self.names.exchange)
    }

    private func message(_ text: String = "{}") -> OutgoingMessage {
        OutgoingMessage(queue: self.names.info, body: Array(text.utf8))
    }

    private func cleanUp() async throws {
        try await self.client.deleteQueue(self.names.info)
        try await self.client.deleteExchange(self.names.exchange)
    }

    // MARK: TLS

    @Test("The publisher publishes over TLS to a host given by name or by address")
    func tls() async throws {
        for host in ["localhost", "127.0.0.1"] {
            let url = self.broker.tlsURL.replacingOccurrences(of: "@localhost:", with: "@\(host):")
            let message = self.message(host)
            try await withConnectedPublisher(self.configuration(url)) { publisher, _ in
                try await publisher.publish(message)
            }
        }
        #expect(try await self.client.count(self.names.info) == 2)
        try await self.cleanUp()
    }

    @Test("10,000 messages are confirmed over TLS with a client certificate")
    func pipelinedTLS() async throws {
        let url =
            self.broker.tlsURL + "&ssl_cert_file=\(self.broker.clientCertificateFile)"
            + "&ssl_key_file=\(self.broker.clientKeyFile)"
        let messages = numbered(10_000, queue: self.names.info, size: 1024)
        let results = try await withConnectedPublisher(self.configuration(url)) { publisher, _ in
            await publisher.publishAll(messages)
        }
        #expect(results.allSatisfy { $0.error == nil })
        #expect(try await self.client.count(self.names.info) == messages.count)
        try await self.cleanUp()
    }

    @Test(
        "An untrusted or mismatched TLS connection is not used, and its reason says what to check",
        arguments: [
            ("amqps://conductor:secret-word@localhost:TLS/", "ssl_ca_file"),
            ("amqps://conductor:secret-word@localhost:TLS/?ssl_ca_file=/nonexistent.pem", "/nonexistent.pem"),
            (
                "amqps://conductor:secret-word@localhost:TLS/?ssl_ca_file=CA&ssl_cert_file=/nonexistent.pem",
                "ssl_cert_file"
            ),
            ("amqps://conductor:secret-word@localhost:PORT/?ssl_ca_file=CA", "TLS"),
            ("rabbit://conductor:secret-word@localhost:TLS/", "ssl=1"),
        ])
    func untrustedTLS(template: String, hint: String) async throws {
        let url = template.replacingOccurrences(of: "TLS/", with: "\(self.broker.tlsPort)/")
            .replacingOccurrences(of: "PORT", with: "\(self.broker.port)")
            .replacingOccurrences(of: "CA", with: self.broker.caFile)
        try await self.expectCannotConnect(url, hint: hint)
    }

    @Test("A client key that others can read, or a certificate that others can write, is not used")
    func exposedClientKey() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "client-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let (certificate, key) = (directory.appending(path: "cert.pem").path, directory.appending(path: "key.pem").path)
        try FileManager.default.copyItem(atPath: self.broker.clientCertificateFile, toPath: certificate)
        try FileManager.default.copyItem(atPath: self.broker.clientKeyFile, toPath: key)
        let url = self.broker.tlsURL + "&ssl_cert_file=\(certificate)&ssl_key_file=\(key)"
        for (keyMode, certificateMode, option) in [(0o644, 0o644, "ssl_key_file"), (0o600, 0o666, "ssl_cert_file")] {
            try FileManager.default.setAttributes([.posixPermissions: keyMode], ofItemAtPath: key)
            try FileManager.default.setAttributes([.posixPermissions: certificateMode], ofItemAtPath: certificate)
            try await self.expectCannotConnect(url, hint: "\(option) \(directory.path)")
        }
    }

    @Test("A certificate that does not name the host is rejected unless the URL disables the check")
    func otherHost() async throws {
        let (broker, message) = (self.broker, self.message())
        // The certificate names localhost and 127.0.0.1.
        try await TCPProxy.with(host: "127.0.0.2", targetPort: broker.tlsPort) { proxy in
            let url = "amqps://\(broker.user):\(broker.password)@127.0.0.2:\(proxy.port)/?ssl_ca_file=\(broker.caFile)"
            try await self.expectCannotConnect(url, hint: "does not contain 127.0.0.2")
            try await withConnectedPublisher(
                self.configuration(url + "&ssl_enforce_hostname_verification=false")
            ) { publisher, _ in
                try await publisher.publish(message)
            }
        }
        try await self.cleanUp()
    }

    private func expectCannotConnect(_ url: String, hint: String) async throws {
        let message = self.message()
        try await withPublisher(self.configuration(url)) { publisher, log in
            let entry = await log.next("Failed to connect to RabbitMQ")
            #expect(entry.level == .warning)
            #expect(entry.metadata["reason"]?.contains(hint) == true, "\(entry)")
            #expect(entry.metadata["setting"] == "messaging.transport_url")
            let error = try await publisher.failure(message)
            #expect(error.cause == .notConnected)
            #expect(error.isRetryable)
            #expect(!"\(log.entries) \(error)".contains("secret-word"))
        }
    }

    // MARK: Login and hosts

    @Test("A wrong password is logged as one warning without the password, and is retried")
    func wrongPassword() async throws {
        let message = self.message()
        let url = "rabbit://\(self.broker.user):secret-word@127.0.0.1:\(self.broker.port)/"
        try await withPublisher(self.configuration(url)) { publisher, log in
            for _ in 0..<3 { await log.next("Failed to connect to RabbitMQ") }
            let entries = log.entries
            #expect(entries.count { $0.level == .warning } == 1)
            #expect(entries.first?.metadata["reason"]?.contains("the user name or the password is wrong") == true)
            let error = try await publisher.failure(message)
            #expect(error.cause == .notConnected)
            #expect(error.description.contains("password is wrong"))
            #expect(!"\(entries) \(error)".contains("secret-word"))
        }
    }

    @Test("An unknown virtual host is named in the log")
    func unknownVirtualHost() async throws {
        let url = self.broker.url + "no-such-vhost"
        try await withPublisher(self.configuration(url)) { _, log in
            let entry = await log.next("Failed to connect to RabbitMQ")
            #expect(entry.metadata["reason"]?.contains("virtual host no-such-vhost") == true, "\(entry)")
        }
    }

    @Test("A user without write permission gets retryable errors, and one log line")
    func noWritePermission() async throws {
        let user = "user-\(self.names.topic)"
        // Binding needs write on the queue and read on the exchange; publishing needs write on the exchange.
        try await self.broker.control("add_user", user, "secret-word")
        try await self.broker.control("set_permissions", user, ".*", "^notification-.*", ".*")
        let configuration = try self.configuration("rabbit://\(user):secret-word@127.0.0.1:\(self.broker.port)/")
        let message = self.message()
        try await withConnectedPublisher(configuration) { publisher, log in
            for _ in 1...3 {
                let error = try await publisher.failure(message)
                #expect(error.cause == .channelClosed)
                #expect(error.isRetryable)
                #expect(error.description.contains("403"))
            }
            #expect(log.entries.count { $0.message.hasPrefix("RabbitMQ closed the channel") && $0.level >= .info } == 1)
        }
        try await self.broker.control("delete_user", user)
        try await self.cleanUp()
    }

    @Test("A user without read permission on the queues can publish and cannot get messages")
    func publishWithoutRead() async throws {
        let user = (name: "user-\(self.names.topic)", password: "secret-word")
        try await self.broker.control("add_user", user.name, user.password)
        // The permissions that Docs/operations.md describes.
        let (exchange, queues) = ("^\(self.names.exchange)$", "^\(self.names.topic)\\.(info|error)$")
        try await self.broker.control(
            "set_permissions", user.name, "\(exchange)|\(queues)", "\(exchange)|\(queues)", exchange)
        let configuration = try self.configuration(
            "rabbit://\(user.name):\(user.password)@127.0.0.1:\(self.broker.port)/")
        let message = self.message()
        try await withConnectedPublisher(configuration) { publisher, _ in
            try await publisher.publish(message)
        }
        let thief = BrokerClient(self.broker, user: user)
        let rejection = await #expect(throws: (any Error).self) { try await thief.get(self.names.info) }
        #expect(rejection.map { "\($0)".contains("403") } == true)
        try await self.broker.control("delete_user", user.name)
        #expect(try await self.client.count(self.names.info) == 1)
        try await self.cleanUp()
    }

    @Test("A missing permission is named in the error, and publishing works once it is granted")
    func noPermission() async throws {
        let user = "user-\(self.names.topic)"
        try await self.broker.control("add_user", user, "secret-word")
        try await self.broker.control("set_permissions", user, "", "", "")
        let url = "rabbit://\(user):secret-word@127.0.0.1:\(self.broker.port)/"
        var configuration = try self.configuration(url)
        configuration.declareAtStart = [self.names.info]
        let (broker, message) = (self.broker, self.message())
        try await withConnectedPublisher(configuration) { publisher, log in
            let error = try await publisher.failure(message)
            #expect(error.cause == .declarationRejected)
            #expect(error.isRetryable)
            #expect(error.description.contains("permissions configure and write"))
            #expect(log.entries.count { $0.level == .error } == 1)
            try await broker.control("set_permissions", user, ".*", ".*", ".*")
            try await publisher.publishRetrying(message)
            await log.next("Declared a queue that RabbitMQ had rejected")
            #expect(!"\(log.entries) \(error)".contains("secret-word"))
        }
        try await self.broker.control("delete_user", user)
        #expect(try await self.client.count(self.names.info) == 1)
        try await self.cleanUp()
    }

    @Test("The reachable one of two hosts is used, with its own credentials")
    func secondHost() async throws {
        // The port was bound and closed again: nothing listens there.
        let dead = try await TCPProxy.with(targetPort: 1) { $0.port }
        let url =
            "rabbit://nobody:wrong@127.0.0.1:\(dead),\(self.broker.user):\(self.broker.password)"
            + "@127.0.0.1:\(self.broker.port)/"
        let (message, port) = (self.message(), self.broker.port)
        for _ in 0..<4 {
            try await withConnectedPublisher(self.configuration(url)) { publisher, _ in
                #expect(publisher.status.host == "127.0.0.1:\(port)")
                try await publisher.publish(message)
            }
        }
        try await self.cleanUp()
    }

    @Test("A message before run() is rejected as not connected")
    func beforeRun() async throws {
        let publisher = Publisher(configuration: try self.configuration(self.broker.url), logger: LogRecorder().logger)
        #expect(try await publisher.failure(self.message()).cause == .notConnected)
        #expect(publisher.status == PublisherStatus())
    }

    // MARK: Broker restarts and alarms

    @Test("Messages are rejected while the broker is down, and publishing resumes without loss")
    func brokerRestarts() async throws {
        try await withPrivateBroker { broker in
            var configuration = try self.configuration(broker.url)
            configuration.durable = true
            let (names, configured) = (self.names, configuration)
            try await withConnectedPublisher(configured) { publisher, log in
                try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("1".utf8)))
                try await broker.stop()
                let entry = await log.next("Lost the connection to RabbitMQ")
                #expect(entry.metadata["reason"]?.contains("320") == true, "\(entry)")
                let error = try await publisher.failure(OutgoingMessage(queue: names.info, body: []))
                #expect(error.cause == .notConnected)
                #expect(publisher.status.host == nil)
                try await broker.restart()
                await log.next("Connected to RabbitMQ")
                try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("2".utf8)))
                try await broker.kill()
                await log.next("Lost the connection to RabbitMQ")
                try await broker.restart()
                await log.next("Connected to RabbitMQ")
                try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("3".utf8)))
                #expect(publisher.status.connections == 3)
                // One line for each change, however many attempts it takes.
                #expect(log.count("Lost the connection") == 2)
                #expect(log.count("Connected") == 3)
                #expect(log.count("Failed to connect") <= 8, "\(log.entries.filter { $0.level >= .info })")
            }
            let bodies = try await BrokerClient(broker).getAll(names.info).map(\.body)
            #expect(bodies == ["1", "2", "3"].map { Array($0.utf8) })
        }
    }

    @Test("Every message is answered when the broker is killed, and no confirmed one is lost")
    func killedUnderLoad() async throws {
        try await withPrivateBroker { broker in
            var configuration = try self.configuration(broker.url)
            configuration.durable = true
            let (names, configured) = (self.names, configuration)
            let confirmed = try await withConnectedPublisher(configured) { publisher, log in
                let messages = numbered(5000, queue: names.info, size: 1024)
                try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("first".utf8)))
                async let first = publisher.publishAll(messages)
                try await broker.kill()
                let results = await first
                #expect(results.count == messages.count)
                #expect(results.allSatisfy { $0.error?.isRetryable ?? true })
                try await broker.restart()
                await log.next("Connected to RabbitMQ")
                return zip(messages, results).filter { $0.1.error == nil }.map(\.0.body)
            }
            let there = Set(try await BrokerClient(broker).getAll(names.info).map(\.body))
            #expect(there.isSuperset(of: confirmed))
        }
    }

    @Test("A memory alarm rejects messages as blocked until it ends")
    func memoryAlarm() async throws {
        try await withPrivateBroker { broker in
            let names = self.names
            try await withConnectedPublisher(self.configuration(broker.url)) { publisher, log in
                try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("1".utf8)))
                try await broker.control("set_vm_memory_high_watermark", "0.0000001")
                // The broker reports the alarm when it receives a message.
                publisher.publish(OutgoingMessage(queue: names.info, body: Array("2".utf8))) { _ in }
                let entry = await log.next("RabbitMQ blocked publishing")
                #expect(entry.metadata["reason"]?.contains("memory") == true)
                let error = try await publisher.failure(OutgoingMessage(queue: names.info, body: Array("3".utf8)))
                #expect(error.cause == .blocked)
                #expect(error.isRetryable)
                #expect(publisher.status.blocked)
                #expect(!publisher.status.isAvailable)
                try await broker.control("set_vm_memory_high_watermark", "0.4")
                await log.next("RabbitMQ unblocked publishing")
                try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("3".utf8)))
                #expect(publisher.status.connections == 1)
            }
        }
    }

    @Test("A lasting alarm delays neither a message's answer nor the publisher's end")
    func blockedForGood() async throws {
        try await withPrivateBroker { broker in
            var configuration = try self.configuration(broker.url)
            configuration.publishTimeout = .seconds(2)
            configuration.drainTimeout = .milliseconds(200)
            let (names, configured) = (self.names, configuration)
            try await withConnectedPublisher(configured) { publisher, log in
                try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("1".utf8)))
                try await broker.control("set_vm_memory_high_watermark", "0.0000001")
                let began = ContinuousClock.now
                let results = await publisher.publishAll(numbered(3000, queue: names.info, size: 1024))
                #expect(ContinuousClock.now - began < .seconds(4))
                #expect(results.contains { $0.error?.cause == .blocked })
                #expect(results.allSatisfy { $0.error?.isRetryable ?? true })
                #expect(log.count("RabbitMQ blocked publishing") == 1)
            }
        }
    }

    // MARK: Silent brokers

    @Test("Messages to a silent broker are answered in time, and the next connection works", arguments: [false, true])
    func blackHole(stalls: Bool) async throws {
        let (names, broker) = (self.names, self.broker)
        try await TCPProxy.with(targetPort: broker.port) { proxy in
            var configuration = try self.configuration(broker.url(port: proxy.port))
            configuration.publishTimeout = .seconds(4)
            let configured = configuration
            // Enough to fill all socket buffers, so that the library hangs in a write when nothing is read.
            let messages = numbered(500, queue: names.info, size: stalls ? 100_000 : 100)
            try await withConnectedPublisher(configured) { publisher, log in
                try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("before".utf8)))
                proxy.set(stalls ? .stall : .swallow)
                let began = ContinuousClock.now
                let results = await publisher.publishAll(messages)
                let took = ContinuousClock.now - began
                #expect(results.allSatisfy { $0.error?.isRetryable == true })
                let codes = Set(results.compactMap { $0.error?.cause })
                #expect(codes.isSubset(of: [.timedOut, .connectionLost, .notConnected]), "\(codes)")
                #expect(took < .seconds(5), "\(took)")
                proxy.set(.forward)
                await log.next("Connected to RabbitMQ")
                try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("after".utf8)))
            }
        }
        let bodies = try await self.client.getAll(names.info).map(\.body)
        let (isFirst, isThere) = (bodies.first == Array("before".utf8), bodies.contains(Array("after".utf8)))
        // Not always the last message: the proxy also forwards the bytes that it held of the old connection.
        #expect(isFirst && isThere)
        try await self.cleanUp()
    }

    @Test("Shutdown does not wait for a write that hangs, whatever the publish timeout")
    func stuckAtShutdown() async throws {
        let (names, broker) = (self.names, self.broker)
        try await TCPProxy.with(targetPort: broker.port) { proxy in
            var configuration = try self.configuration(broker.url(port: proxy.port))
            configuration.publishTimeout = .seconds(60)
            configuration.drainTimeout = .seconds(1)
            let configured = configuration
            let answered = NIOLockedValueBox(0)
            let messages = numbered(500, queue: names.info, size: 100_000)
            let began = try await withConnectedPublisher(configured) { publisher, _ in
                try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("before".utf8)))
                proxy.set(.stall)
                for message in messages {
                    publisher.publish(message) { _ in answered.withLockedValue { $0 += 1 } }
                }
                // Wait until the socket buffers are full and the library hangs in a write.
                try await Task.sleep(for: .seconds(1))
                return ContinuousClock.now
            }
            #expect(ContinuousClock.now - began < .seconds(5))
            #expect(answered.withLockedValue { $0 } == messages.count)
        }
        try await self.cleanUp()
    }

    @Test("A silent connection is closed after missed heartbeats, and the publisher reconnects")
    func heartbeats() async throws {
        let (names, broker) = (self.names, self.broker)
        try await TCPProxy.with(targetPort: broker.port) { proxy in
            var configuration = try self.configuration(broker.url(port: proxy.port))
            configuration.heartbeatSeconds = 2
            let configured = configuration
            try await withConnectedPublisher(configured) { publisher, log in
                try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("1".utf8)))
                proxy.set(.swallow)
                let entry = await log.next("Lost the connection to RabbitMQ")
                #expect(entry.metadata["reason"]?.contains("heartbeat") == true, "\(entry)")
                proxy.set(.forward)
                await log.next("Connected to RabbitMQ")
            }
        }
        try await self.cleanUp()
    }

    @Test("A connection attempt to a port that sends nothing fails within the connect timeout")
    func silentPort() async throws {
        try await TCPProxy.with(targetPort: self.broker.port) { proxy in
            proxy.set(.stall)
            var configuration = try self.configuration(self.broker.url(port: proxy.port))
            configuration.connectTimeout = .milliseconds(300)
            let configured = configuration
            try await withPublisher(configured) { _, log in
                let entry = await log.next("Failed to connect to RabbitMQ")
                #expect(entry.metadata["reason"]?.contains("in time") == true, "\(entry)")
            }
        }
    }
}
