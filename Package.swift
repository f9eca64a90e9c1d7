// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

let settings: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]
// The bindings to C do without strict memory safety: nearly every line of theirs would say `unsafe`.
let bindings = ["TLSChannel", "CertificateIssuing", "ContextSigning", "RabbitMQ"]
// The tests and test helpers that keep it; all other modules of Sources do.
let strictTests = ["CatalogueFilesTests", "SettingsTests", "EventLoopTesting"]

// The fault bench (Tests/Faults) builds programs that it can stop at named places, and a library that sets clocks wrong.
let hasFaultPoints = Context.environment["RELAY_FAULT_POINTS"] != nil
let faultProducts: [Product] =
    hasFaultPoints ? [.library(name: "FaultClock", type: .dynamic, targets: ["FaultClock"])] : []
// The fuzzer (Tests/Fuzzing) gets its `main` from libFuzzer, which only its own build links.
let fuzzers: [Target] =
    Context.environment["RELAY_FUZZING"] != nil
    ? [
        .executableTarget(
            name: "relay-fuzzer", dependencies: ["FuzzEntries"], path: "Tests/Fuzzing/Fuzzer",
            swiftSettings: [.strictMemorySafety(), .unsafeFlags(["-parse-as-library"])])
    ] : []

/// The products of other packages that several targets use.
extension Target.Dependency {
    static let argumentParser: Self = .product(name: "ArgumentParser", package: "swift-argument-parser")
    static let dequeModule: Self = .product(name: "DequeModule", package: "swift-collections")
    static let grdb: Self = .product(name: "GRDB", package: "GRDB.swift")
    static let logging: Self = .product(name: "Logging", package: "swift-log")
    static let nioConcurrencyHelpers: Self = .product(name: "NIOConcurrencyHelpers", package: "swift-nio")
    static let nioCore: Self = .product(name: "NIOCore", package: "swift-nio")
    static let nioEmbedded: Self = .product(name: "NIOEmbedded", package: "swift-nio")
    static let nioExtras: Self = .product(name: "NIOExtras", package: "swift-nio-extras")
    static let nioPosix: Self = .product(name: "NIOPosix", package: "swift-nio")
    static let nioTLS: Self = .product(name: "NIOTLS", package: "swift-nio")
    static let serviceLifecycle: Self = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
    static let subprocess: Self = .product(name: "Subprocess", package: "swift-subprocess")
    static let systemPackage: Self = .product(name: "SystemPackage", package: "swift-system")
    static let unixSignals: Self = .product(name: "UnixSignals", package: "swift-service-lifecycle")
    static let yams: Self = .product(name: "Yams", package: "Yams")
}

typealias Uses = [Target.Dependency]
let base: Uses = [.logging, .nioConcurrencyHelpers]
let services = base + [.serviceLifecycle]
let network = base + [.nioCore, .nioPosix]
let server = network + [.serviceLifecycle]
let rpc: Uses = ["ConductorRPC", "Notifications", "TLSChannel"]

/// The libraries, lowest first: each depends only on modules above it (Docs/architecture.md).
let modules: KeyValuePairs<String, Uses> = [
    "Notifications": [],
    "DriverErrors": [],
    "StatusNotifications": ["Notifications"],
    "CatalogueDocuments": ["Notifications"],
    "FaultPoints": [.nioConcurrencyHelpers],
    "StandardIO": [],
    "Timing": [],
    "HostNames": [],
    "SecureFiles": ["CLinuxFiles"],
    "CommandExecution": ["CCommandExecution", .nioConcurrencyHelpers, .systemPackage],
    "EventLoopScheduling": ["CLinuxScheduling", .nioConcurrencyHelpers, .nioCore, .nioPosix],
    "FileReloading": ["Timing", .nioConcurrencyHelpers, .nioPosix],
    "TLSChannel": network + [
        "CConductorOpenSSL", "EventLoopScheduling", "FileReloading", "HostNames", "SecureFiles", .nioTLS,
    ],
    "CertificateIssuing": ["CConductorOpenSSL", "HostNames", "TLSChannel"],
    "ContextSigning": ["CConductorOpenSSL", "Notifications", "SecureFiles"],
    "RabbitMQ": services + [
        "CConductorRabbitMQ", "DriverErrors", "FaultPoints", "HostNames", "SecureFiles", "Timing", .dequeModule,
    ],
    "Settings": ["HostNames", .product(name: "Configuration", package: "swift-configuration"), .yams],
    "CatalogueFiles": ["Notifications", "Settings", .yams],
    "ConductorRPC": network + ["EventLoopScheduling", "HostNames", "Notifications", "TLSChannel", .nioExtras, .nioTLS],
    "Notifier": services + [
        "ContextSigning", "DriverErrors", "Notifications", "StandardIO", "RabbitMQ", "Timing",
    ],
    "GuestSpool": base + ["FaultPoints", "Notifications", "SecureFiles", "Timing", .dequeModule, .grdb],
    "GuestAgent": server + [
        "ConductorRPC", "FaultPoints", "GuestSpool", "HostNames", "Notifications", "Timing", "TLSChannel",
        .product(name: "ServiceContextModule", package: "swift-service-context"),
    ],
    "ConductorService": server + [
        "CMemoryTrimming", "ConductorRPC", "ContextSigning", "EventLoopScheduling", "FaultPoints", "FileReloading",
        "HostNames", "Notifications", "Notifier", "Timing", "TLSChannel", .dequeModule, .nioExtras,
    ],
    "PeriodicReports": services + [
        "Notifications", "Notifier", "SecureFiles", "StatusNotifications", "Timing", .subprocess, .systemPackage,
    ],
]
/// The programs: argument parsing and wiring only.
let programs: KeyValuePairs<String, Uses> = [
    "conductor": base + rpc + [
        "CatalogueDocuments", "CatalogueFiles", "CertificateIssuing", "ConductorService", "ContextSigning",
        "EventLoopScheduling", "Notifier", "PeriodicReports", "StandardIO", "SecureFiles", "Settings",
        "StatusNotifications", .argumentParser, .nioCore, .serviceLifecycle, .unixSignals,
    ],
    "guest-agent": server + [
        "CommandExecution", "ConductorRPC", "GuestAgent", "GuestSpool", "Notifications", "StandardIO",
        "SecureFiles", "Settings", "TLSChannel", .argumentParser, .systemPackage, .unixSignals,
    ],
]
/// Modules that several tests and benches use.
let helpers: KeyValuePairs<String, Uses> = [
    // An executor whose work runs when a test says so.
    "EventLoopTesting": ["EventLoopScheduling", .nioConcurrencyHelpers, .nioCore],
    "LogTesting": base,  // Loggers for tests: one that a test reads, one that discards.
    "RandomTesting": [],  // Pseudorandom numbers from a seed.
    "ProcessTesting": [.nioConcurrencyHelpers],  // Starts programs, and talks to them.
    // Runs a conductor inside a test.
    "RelayTesting": server + rpc + ["CertificateIssuing", "ConductorService", "LogTesting", "Notifier"],
    "BrokerTesting": network + ["CConductorRabbitMQ"],  // A client of a real RabbitMQ node.
    // The fault bench (Tests/Faults/run).
    "Faults/FaultWorkload": ["Notifications"],
    "Faults/FaultClock": [],
    "Faults/FaultVolume": ["ProcessTesting", .subprocess, .systemPackage],  // A disk that can fail, fill up, freeze.
    // The parsers of untrusted bytes, for the fuzzer (Tests/Fuzzing/run) and the test of its corpus.
    "Fuzzing/FuzzEntries": base + [
        "CatalogueFiles", "CertificateIssuing", "CommandExecution", "ConductorRPC", "ConductorService",
        "ContextSigning", "Notifications", "Notifier", "RabbitMQ", "RelayTesting", "Settings", "TLSChannel", .nioCore,
    ],
    "Benchmarks/BenchmarkFigures": [],
]
/// Tests, a target for each module; those of programs run them as processes.
let tests: KeyValuePairs<String, Uses> = [
    "ConductorRPCTests": network + rpc + [
        "CertificateIssuing", "EventLoopScheduling", "EventLoopTesting", "RandomTesting", .nioEmbedded, .nioExtras,
    ],
    "CommandExecutionTests": ["CommandExecution", .nioConcurrencyHelpers, .systemPackage],
    "EventLoopSchedulingTests": network + ["EventLoopScheduling", .nioEmbedded],
    "NotificationsTests": ["Notifications", "RandomTesting"],
    "StatusNotificationsTests": services + ["Notifications", "Notifier", "RelayTesting", "StatusNotifications"],
    "CatalogueDocumentsTests": ["CatalogueDocuments", "Notifications"],
    "CatalogueFilesTests": ["CatalogueFiles", "Notifications"],
    "ContextSigningTests": ["ContextSigning", "Notifications", "ProcessTesting"],
    "SettingsTests": ["Settings"],
    "FileReloadingTests": ["FileReloading", .nioConcurrencyHelpers, .nioPosix],
    "SecureFilesTests": ["SecureFiles"],
    "HostNamesTests": ["HostNames"],
    "TimingTests": ["RandomTesting", "Timing"],
    "TLSChannelTests": network + [
        "CConductorOpenSSL", "CertificateIssuing", "EventLoopScheduling", "EventLoopTesting", "ProcessTesting",
        "RandomTesting", "TLSChannel", .nioEmbedded, .nioTLS,
    ],
    "ConductorServiceTests": server + [
        "BrokerTesting", "CatalogueFiles", "CertificateIssuing", "ConductorRPC", "ConductorService", "ContextSigning",
        "GuestAgent", "GuestSpool", "LogTesting", "Notifications", "Notifier", "ProcessTesting", "RabbitMQ",
        "RandomTesting", "RelayTesting", "Timing", "TLSChannel", .nioEmbedded, .unixSignals,
    ],
    "GuestAgentTests": server + rpc + [
        "BrokerTesting", "CertificateIssuing", "ConductorService", "GuestAgent", "GuestSpool", "LogTesting", "Notifier",
        "ProcessTesting", "RandomTesting", "RelayTesting", "Timing", .unixSignals,
    ],
    "GuestSpoolTests": base + ["GuestSpool", "LogTesting", "Notifications", "ProcessTesting", "SecureFiles", .grdb],
    "NotifierTests": server + [
        "BrokerTesting", "ContextSigning", "LogTesting", "Notifications", "Notifier", "RabbitMQ", "RelayTesting",
    ],
    "PeriodicReportsTests": services + [
        "BrokerTesting", "LogTesting", "Notifications", "Notifier", "PeriodicReports", "RandomTesting",
        "StatusNotifications",
    ],
    "FaultWorkloadTests": network + ["fault-bench", "FaultWorkload", "Notifications"],
    "RabbitMQTests": services + [
        "BrokerTesting", "CConductorRabbitMQ", "DriverErrors", "LogTesting", "RabbitMQ", "RandomTesting", "Timing",
        .product(name: "ServiceLifecycleTestKit", package: "swift-service-lifecycle"),
    ],
    "ProgramsTests": base + [
        "BrokerTesting", "CatalogueDocuments", "conductor", "guest-agent", "LogTesting", "Notifications", "Notifier",
        "ProcessTesting", "SecureFiles", .grdb, .subprocess, .systemPackage,
    ],
    "FaultVolumeTests": base + [
        "FaultVolume", "GuestSpool", "LogTesting", "Notifications", "ProcessTesting", "RandomTesting", .grdb,
    ],
    "FuzzCorpusTests": ["FuzzEntries"],
]
/// Programs of the benches. A script beside each runs it, and says what it measures.
let benches: KeyValuePairs<String, Uses> = [
    "Faults/fault-guest": base + ["FaultWorkload", "GuestAgent", .argumentParser, .serviceLifecycle, .unixSignals],
    "Faults/fault-bench": network + [
        "BrokerTesting", "conductor", "fault-guest", "FaultPoints", "FaultVolume", "FaultWorkload", .argumentParser,
    ],
    "Faults/backlog-check": [
        "BrokerTesting", "GuestAgent", .argumentParser, .grdb, .logging, .subprocess, .systemPackage,
    ],
    "Benchmarks/notification-benchmark": ["BenchmarkFigures", "GuestAgent", .argumentParser, .logging],
    "Benchmarks/spool-benchmark": [
        "BenchmarkFigures", "GuestSpool", "Notifications", "PlainSQLite", .argumentParser, .logging,
    ],
    "Benchmarks/agent-benchmark": ["BenchmarkFigures", "GuestAgent", .argumentParser, .logging],
    "Benchmarks/footprint-agent": ["GuestAgent", .logging, .serviceLifecycle, .unixSignals],
    "Benchmarks/footprint-bare": [],
    "Benchmarks/signature-benchmark": rpc + [
        "BenchmarkFigures", "ConductorService", "ContextSigning", "LogTesting", "Notifier", .argumentParser, .nioCore,
    ],
    "Benchmarks/relay-instructions": rpc + ["ConductorService", "LogTesting", "Notifier", .nioCore],
    "Hostile/hostile-bench": network + rpc + [
        "BenchmarkFigures", "BrokerTesting", .argumentParser, .nioTLS, .subprocess, .systemPackage,
    ],
]

/// The targets of a table whose keys are folders below Tests, named as their targets.
func inTests(_ table: KeyValuePairs<String, Uses>, _ make: (String, Uses, String) -> Target) -> [Target] {
    table.map { make(String($0.split(separator: "/").last!), $1, "Tests/\($0)") }
}

let package = Package(
    name: "conductor-notification-relay",
    products: ["GuestAgent", "Notifier", "StatusNotifications"].map { .library(name: $0, targets: [$0]) }
        + ["conductor", "guest-agent"].map { .executable(name: $0, targets: [$0]) } + faultProducts,
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: [.defaults, "YAML"]),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-service-context", from: "1.5.1"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    ],
    targets: [
        // The two C libraries; one module imports RabbitMQ's, two OpenSSL's.
        .systemLibrary(name: "CConductorOpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CConductorRabbitMQ", pkgConfig: "librabbitmq", providers: [.apt(["librabbitmq-dev"])]),
        // Between vfork(2) and exec(2) only C may run.
        .target(name: "CCommandExecution"),
        .target(name: "PlainSQLite", path: "Tests/Benchmarks/PlainSQLite", linkerSettings: [.linkedLibrary("sqlite3")]),
    ]
        // System calls and functions of glibc that Swift's Glibc module lacks.
        + ["CLinuxScheduling", "CLinuxFiles", "CMemoryTrimming"].map { .systemLibrary(name: $0) }
        + modules.map { .target(name: $0, dependencies: $1) }
        + programs.map { .executableTarget(name: $0, dependencies: $1) }
        + inTests(helpers) { .target(name: $0, dependencies: $1, path: $2) }
        + inTests(tests) { .testTarget(name: $0, dependencies: $1, path: $2) }
        + inTests(benches) { .executableTarget(name: $0, dependencies: $1, path: $2) }
        + fuzzers,
    swiftLanguageModes: [.v6]
)

for target in package.targets where target.type != .system {
    let isStrict = target.path == nil && target.type != .test && !bindings.contains(target.name)
    let strict: [SwiftSetting] = isStrict || strictTests.contains(target.name) ? [.strictMemorySafety()] : []
    let faults: [SwiftSetting] = target.name == "FaultPoints" && hasFaultPoints ? [.define("FAULT_POINTS")] : []
    target.swiftSettings = (target.swiftSettings ?? []) + settings + strict + faults
}
// Only the documentation's build (Tests/Documentation/run) has this plugin, so programs do not resolve it.
let plugin = Package.Dependency.package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0")
if Context.environment["RELAY_DOCUMENTATION"] != nil { package.dependencies.append(plugin) }
// A sanitizer builds only the tests that it runs (Tests/run).
if let names = Context.environment["RELAY_TESTS"]?.split(separator: " ") {
    package.targets.removeAll { $0.type == .test && !names.contains($0.name[...]) }
}
