// SPDX-License-Identifier: Apache-2.0

// The minimal program that reports its operations: Tests/Benchmarks/footprint measures it.
import GuestAgent
import Logging
import ServiceLifecycle
import UnixSignals

let arguments = CommandLine.arguments
guard arguments.count == 5, let port = Int(arguments[2]) else {
    fatalError("usage: footprint-agent TLS-DIRECTORY PORT SPOOL-DIRECTORY INSTANCE")
}
let (tls, instance) = (arguments[1], arguments[4])
let logger = Logger(label: "guest") { StreamLogHandler.standardError(label: $0) }
let spool = try await Spool.open(arguments[3], logger: logger)
let agent = try GuestAgent(
    configuration: .init(
        conductors: [ConductorAddress(host: "127.0.0.1", port: port)], certificateFile: "\(tls)/guest-\(instance).pem",
        keyFile: "\(tls)/guest-\(instance).key", caFile: "\(tls)/ca.pem"),
    outbox: spool, logger: logger)
logger.notice("Operations may begin")
try await ServiceGroup(services: [agent], gracefulShutdownSignals: [.sigterm], logger: logger).run()
try await spool.close()
