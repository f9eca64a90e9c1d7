// swift-tools-version: 6.2
import PackageDescription

// Warnings are errors everywhere. The rooms that never touch memory by hand say so with strict memory safety: an
// `unsafe` there is a reviewer's signal. The rooms that are bindings to C (TLSSocket, ContextSigning, RabbitMQ) would carry
// the word on every line, where it would tell nobody anything.
let settings: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]
let strict = settings + [.strictMemorySafety()]
// The fault bench (Tests/Faults) builds for itself programs that it can end at named places.
let hasFaultPoints = Context.environment["RELAY_FAULT_POINTS"] != nil
let faults: [SwiftSetting] = hasFaultPoints ? [.define("FAULT_POINTS")] : []
// Preloaded into guests of the bench, to set their clocks wrong.
let faultProducts: [Product] =
    hasFaultPoints ? [.library(name: "FaultClock", type: .dynamic, targets: ["FaultClock"])] : []

// The fuzzer (Tests/Fuzzing) has its beginning from libFuzzer, which only its own build links.
let fuzzers: [Target] =
    Context.environment["RELAY_FUZZING"] != nil
    ? [
        .executableTarget(
            name: "relay-fuzzer", dependencies: ["FuzzEntries"], path: "Tests/Fuzzing/Fuzzer",
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])])
    ] : []

/// The products of other packages that several targets depend on.
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

let package = Package(
    name: "conductor-notification-relay",
    products: [
        .library(name: "GuestAgent", targets: ["GuestAgent"]),
        .library(name: "Notifier", targets: ["Notifier"]),
        .executable(name: "conductor", targets: ["conductor"]),
        .executable(name: "guest-agent", targets: ["guest-agent"]),
    ] + faultProducts,
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(
            url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: [.defaults, "YAML"]),
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
        // The two C libraries, each behind one room.
        .systemLibrary(
            name: "CConductorOpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CConductorRabbitMQ", pkgConfig: "librabbitmq", providers: [.apt(["librabbitmq-dev"])]),
        // System calls that glibc has no function for.
        .systemLibrary(name: "CLinuxScheduling"),
        .systemLibrary(name: "CLinuxFiles"),
        // A function of glibc that its Swift module leaves out.
        .systemLibrary(name: "CMemoryTrimming"),
        // Between vfork(2) and exec(2) only C may run.
        .target(name: "CCommandExecution"),

        // Rooms, lowest first; a room knows only rooms above it in this list (Docs/architecture.md).
        .target(name: "Notifications", swiftSettings: strict),
        .target(
            name: "FaultPoints",
            dependencies: [.nioConcurrencyHelpers],
            swiftSettings: strict + faults),
        .target(name: "ProgramStreams", swiftSettings: strict),
        .target(name: "SecureFiles", dependencies: ["CLinuxFiles"], swiftSettings: strict),
        .target(
            name: "CommandExecution",
            dependencies: [
                "CCommandExecution", .nioConcurrencyHelpers, .systemPackage,
            ], swiftSettings: strict),
        .target(
            name: "EventLoopFairness",
            dependencies: [
                "CLinuxScheduling", .nioConcurrencyHelpers, .nioCore, .nioPosix,
            ], swiftSettings: strict),
        .target(
            name: "TLSSocket",
            dependencies: [
                "CConductorOpenSSL", "EventLoopFairness", "SecureFiles", .logging, .nioConcurrencyHelpers, .nioCore,
                .nioPosix, .nioTLS,
            ], swiftSettings: settings),
        .target(
            name: "ContextSigning", dependencies: ["CConductorOpenSSL", "Notifications", "SecureFiles"],
            swiftSettings: settings),
        .target(
            name: "RabbitMQ",
            dependencies: [
                "CConductorRabbitMQ", "FaultPoints", "SecureFiles", .dequeModule, .logging, .nioConcurrencyHelpers,
                .serviceLifecycle,
            ], swiftSettings: settings),
        .target(
            name: "Settings",
            dependencies: [
                .product(name: "Configuration", package: "swift-configuration"), .yams,
            ], swiftSettings: strict),
        .target(
            name: "CatalogueFiles",
            dependencies: ["Notifications", "Settings", .yams],
            swiftSettings: strict),
        .target(
            name: "ConductorRPC",
            dependencies: [
                "EventLoopFairness", "Notifications", "TLSSocket", .logging, .nioConcurrencyHelpers, .nioCore,
                .nioExtras, .nioPosix, .nioTLS,
            ], swiftSettings: strict),
        .target(
            name: "Notifier",
            dependencies: [
                "ContextSigning", "Notifications", "ProgramStreams", "RabbitMQ", .logging, .nioConcurrencyHelpers,
                .serviceLifecycle,
            ], swiftSettings: strict),
        .target(
            name: "GuestSpool",
            dependencies: [
                "FaultPoints", "Notifications", "SecureFiles", .dequeModule, .grdb, .logging, .nioConcurrencyHelpers,
            ], swiftSettings: strict),
        .target(
            name: "GuestAgent",
            dependencies: [
                "ConductorRPC", "FaultPoints", "GuestSpool", "Notifications", "TLSSocket", .logging,
                .nioConcurrencyHelpers, .nioCore, .nioPosix,
                .product(name: "ServiceContextModule", package: "swift-service-context"), .serviceLifecycle,
            ], swiftSettings: strict),
        .target(
            name: "ConductorService",
            dependencies: [
                "CMemoryTrimming", "ConductorRPC", "ContextSigning", "EventLoopFairness", "FaultPoints",
                "Notifications", "Notifier", "TLSSocket", .dequeModule, .logging, .nioConcurrencyHelpers, .nioCore,
                .nioExtras, .nioPosix, .serviceLifecycle,
            ], swiftSettings: strict),
        .target(
            name: "PeriodicReports",
            dependencies: [
                "Notifications", "Notifier", "SecureFiles", .logging, .nioConcurrencyHelpers, .serviceLifecycle,
                .subprocess, .systemPackage,
            ], swiftSettings: strict),

        // The programs: argument parsing and wiring only.
        .executableTarget(
            name: "conductor",
            dependencies: [
                "CatalogueFiles", "ConductorRPC", "ConductorService", "ContextSigning", "EventLoopFairness",
                "Notifications", "Notifier", "PeriodicReports", "ProgramStreams", "SecureFiles", "Settings",
                "TLSSocket", .argumentParser, .logging, .nioConcurrencyHelpers, .nioCore, .serviceLifecycle,
                .unixSignals,
            ], swiftSettings: strict),
        .executableTarget(
            name: "guest-agent",
            dependencies: [
                "CommandExecution", "ConductorRPC", "GuestAgent", "GuestSpool", "Notifications", "ProgramStreams",
                "SecureFiles", "Settings", "TLSSocket", .argumentParser, .logging, .nioConcurrencyHelpers, .nioCore,
                .nioPosix, .serviceLifecycle, .systemPackage, .unixSignals,
            ], swiftSettings: strict),

        // One test target a room.
        .testTarget(
            name: "ConductorRPCTests",
            dependencies: [
                "ConductorRPC", "EventLoopFairness", "EventLoopTesting", "Notifications", "TLSSocket", .logging,
                .nioConcurrencyHelpers, .nioCore, .nioEmbedded, .nioExtras, .nioPosix,
            ], swiftSettings: settings),
        .testTarget(
            name: "CommandExecutionTests",
            dependencies: ["CommandExecution", .nioConcurrencyHelpers, .systemPackage],
            swiftSettings: settings),
        .testTarget(
            name: "EventLoopFairnessTests",
            dependencies: [
                "EventLoopFairness", .nioConcurrencyHelpers, .nioCore, .nioEmbedded, .nioPosix,
            ], swiftSettings: settings),
        .testTarget(name: "NotificationsTests", dependencies: ["Notifications"], swiftSettings: settings),
        .testTarget(
            name: "CatalogueFilesTests", dependencies: ["CatalogueFiles", "Notifications"], swiftSettings: strict),
        .testTarget(
            name: "ContextSigningTests", dependencies: ["ContextSigning", "Notifications", "ProcessTesting"],
            swiftSettings: settings),
        .testTarget(name: "SettingsTests", dependencies: ["Settings"], swiftSettings: strict),
        .testTarget(name: "SecureFilesTests", dependencies: ["SecureFiles"], swiftSettings: settings),
        .testTarget(
            name: "TLSSocketTests",
            dependencies: [
                "CConductorOpenSSL", "EventLoopFairness", "EventLoopTesting", "ProcessTesting", "TLSSocket",
                .nioConcurrencyHelpers, .nioCore, .nioEmbedded, .nioPosix, .nioTLS,
            ], swiftSettings: settings),
        .testTarget(
            name: "ConductorServiceTests",
            dependencies: [
                "BrokerTesting", "CatalogueFiles", "ConductorRPC", "ConductorService", "ContextSigning", "GuestAgent",
                "GuestSpool", "LogTesting", "Notifications", "Notifier", "ProcessTesting", "RabbitMQ", "RelayTesting",
                "TLSSocket", .logging, .nioConcurrencyHelpers, .nioCore, .nioEmbedded, .nioPosix, .serviceLifecycle,
                .unixSignals,
            ], swiftSettings: settings),
        .testTarget(
            name: "GuestAgentTests",
            dependencies: [
                "BrokerTesting", "ConductorRPC", "ConductorService", "GuestAgent", "GuestSpool", "LogTesting",
                "Notifier", "ProcessTesting", "RelayTesting", "TLSSocket", .logging, .nioConcurrencyHelpers, .nioCore,
                .nioPosix, .serviceLifecycle,
            ], swiftSettings: settings),
        .testTarget(
            name: "GuestSpoolTests",
            dependencies: [
                "GuestSpool", "LogTesting", "Notifications", "ProcessTesting", "SecureFiles", .grdb, .logging,
                .nioConcurrencyHelpers,
            ], swiftSettings: settings),
        .testTarget(
            name: "NotifierTests",
            dependencies: [
                "BrokerTesting", "ContextSigning", "LogTesting", "Notifications", "Notifier", "RabbitMQ",
                "RelayTesting", .logging, .nioConcurrencyHelpers,
            ], swiftSettings: settings),
        .testTarget(
            name: "PeriodicReportsTests",
            dependencies: [
                "BrokerTesting", "LogTesting", "Notifications", "Notifier", "PeriodicReports", .logging,
                .nioConcurrencyHelpers, .serviceLifecycle,
            ], swiftSettings: settings),
        // Work behind event loops that is done when a test says so.
        .target(
            name: "EventLoopTesting",
            dependencies: [
                "EventLoopFairness", .nioConcurrencyHelpers, .nioCore,
            ], path: "Tests/EventLoopTesting", swiftSettings: strict),
        // What tests read of a log.
        .target(
            name: "LogTesting",
            dependencies: [
                .logging, .nioConcurrencyHelpers,
            ], path: "Tests/LogTesting", swiftSettings: settings),
        // Programs that tests run and talk to.
        .target(
            name: "ProcessTesting",
            dependencies: [.nioConcurrencyHelpers],
            path: "Tests/ProcessTesting", swiftSettings: settings),
        // What several test targets need to meet a running conductor.
        .target(
            name: "RelayTesting",
            dependencies: [
                "ConductorRPC", "ConductorService", "Notifications", "Notifier", "TLSSocket", .logging,
                .nioConcurrencyHelpers, .nioCore, .nioPosix, .serviceLifecycle,
            ], path: "Tests/RelayTesting", swiftSettings: settings),
        // What several test targets need to meet a real broker.
        .target(
            name: "BrokerTesting",
            dependencies: [
                "CConductorRabbitMQ", .nioConcurrencyHelpers, .nioCore, .nioPosix,
            ], path: "Tests/BrokerTesting", swiftSettings: settings),
        // The fault bench (Tests/Faults/run).
        .target(
            name: "FaultWorkload", dependencies: ["Notifications"], path: "Tests/Faults/Workload",
            swiftSettings: settings),
        .target(name: "FaultClock", path: "Tests/Faults/Clock", swiftSettings: settings),
        .executableTarget(
            name: "fault-guest",
            dependencies: [
                "FaultWorkload", "GuestAgent", .argumentParser, .logging, .nioConcurrencyHelpers, .serviceLifecycle,
                .unixSignals,
            ], path: "Tests/Faults/Guest", swiftSettings: settings),
        .executableTarget(
            name: "fault-bench",
            dependencies: [
                "BrokerTesting", "conductor", "fault-guest", "FaultPoints", "FaultVolume", "FaultWorkload",
                .argumentParser, .nioConcurrencyHelpers, .nioCore, .nioPosix,
            ], path: "Tests/Faults/Bench", swiftSettings: settings),
        .testTarget(
            name: "FaultWorkloadTests",
            dependencies: [
                "fault-bench", "FaultWorkload", "Notifications", .nioConcurrencyHelpers, .nioCore, .nioPosix,
            ], swiftSettings: settings),
        .testTarget(
            name: "RabbitMQTests",
            dependencies: [
                "BrokerTesting", "CConductorRabbitMQ", "LogTesting", "RabbitMQ", .logging, .nioConcurrencyHelpers,
                .serviceLifecycle, .product(name: "ServiceLifecycleTestKit", package: "swift-service-lifecycle"),
            ], swiftSettings: settings),
        // The programs as processes; the dependency on them sees to it that they are built.
        .testTarget(
            name: "ProgramsTests",
            dependencies: [
                "BrokerTesting", "conductor", "guest-agent", "Notifications", "Notifier", "ProcessTesting",
                "SecureFiles",
                .grdb, .logging, .nioConcurrencyHelpers, .subprocess, .systemPackage,
            ], swiftSettings: settings),
        // A disk that fails as disks do, for the bench and for tests.
        .target(
            name: "FaultVolume",
            dependencies: [
                "ProcessTesting", .subprocess, .systemPackage,
            ], path: "Tests/Faults/Volume", swiftSettings: settings),
        .testTarget(
            name: "FaultVolumeTests",
            dependencies: [
                "FaultVolume", "GuestSpool", "Notifications", "ProcessTesting", .grdb, .logging,
                .nioConcurrencyHelpers,
            ], swiftSettings: settings),
        // What a hundred thousand outcomes that wait cost; Tests/Faults/backlog runs it.
        .executableTarget(
            name: "backlog-check",
            dependencies: [
                "BrokerTesting", "GuestAgent", .argumentParser, .grdb, .logging, .subprocess, .systemPackage,
            ], path: "Tests/Faults/Backlog", swiftSettings: settings),
        // Where bytes from strangers come in, for the fuzzer (Tests/Fuzzing/run) and the test of its corpus.
        .target(
            name: "FuzzEntries",
            dependencies: [
                "CatalogueFiles", "CommandExecution", "ConductorRPC", "ConductorService", "ContextSigning",
                "Notifications", "Notifier", "RabbitMQ", "RelayTesting", "Settings", "TLSSocket", .logging,
                .nioConcurrencyHelpers, .nioCore,
            ], path: "Tests/Fuzzing/Entries", swiftSettings: settings),
        .testTarget(name: "FuzzCorpusTests", dependencies: ["FuzzEntries"], swiftSettings: settings),
        // What withNotification adds to an operation; Tests/Benchmarks/notification runs it.
        .executableTarget(
            name: "notification-benchmark",
            dependencies: [
                "GuestAgent", .argumentParser, .logging,
            ], path: "Tests/Benchmarks/Notification", swiftSettings: settings),
        // What benchmarks count and print.
        .target(name: "BenchmarkFigures", path: "Tests/Benchmarks/Figures", swiftSettings: settings),
        // What the spool takes beside SQLite with nothing around it; Tests/Benchmarks/spool runs it.
        .target(
            name: "PlainSQLite", path: "Tests/Benchmarks/PlainSQLite", linkerSettings: [.linkedLibrary("sqlite3")]),
        .executableTarget(
            name: "spool-benchmark",
            dependencies: [
                "BenchmarkFigures", "GuestSpool", "Notifications", "PlainSQLite", .argumentParser, .logging,
            ], path: "Tests/Benchmarks/Spool", swiftSettings: settings),
        // What a notification takes of the guest's processor; Tests/Benchmarks/agent runs it.
        .executableTarget(
            name: "agent-benchmark",
            dependencies: [
                "BenchmarkFigures", "GuestAgent", .argumentParser, .logging,
            ], path: "Tests/Benchmarks/Agent", swiftSettings: settings),
        // What embedding the agent weighs, and a program that does nothing; Tests/Benchmarks/footprint weighs both.
        .executableTarget(
            name: "footprint-agent",
            dependencies: [
                "GuestAgent", .logging, .serviceLifecycle, .unixSignals,
            ], path: "Tests/Benchmarks/Footprint/Agent", swiftSettings: settings),
        .executableTarget(name: "footprint-bare", path: "Tests/Benchmarks/Footprint/Bare", swiftSettings: settings),
        // What a signature takes of a report; Tests/Benchmarks/signatures runs it.
        .executableTarget(
            name: "signature-benchmark",
            dependencies: [
                "ConductorRPC", "ConductorService", "ContextSigning", "Notifications", "Notifier", "TLSSocket",
                .argumentParser, .logging, .nioCore,
            ], path: "Tests/Benchmarks/Signatures", swiftSettings: settings),
        // What the relay executes for a report, for a count of instructions; Tests/Benchmarks/instructions runs it.
        .executableTarget(
            name: "relay-instructions",
            dependencies: [
                "ConductorRPC", "ConductorService", "Notifications", "Notifier", "TLSSocket", .logging, .nioCore,
            ], path: "Tests/Benchmarks/Instructions", swiftSettings: settings),
        // What hostile peers cost a conductor's well-behaved guests; Tests/Hostile/run runs it.
        .executableTarget(
            name: "hostile-bench",
            dependencies: [
                "BrokerTesting", "ConductorRPC", "Notifications", "TLSSocket", .argumentParser,
                .nioConcurrencyHelpers, .nioCore, .nioPosix, .nioTLS, .subprocess, .systemPackage,
            ], path: "Tests/Hostile/Bench", swiftSettings: settings),
    ] + fuzzers,
    swiftLanguageModes: [.v6]
)

// A sanitizer looks at some of the tests, and the others need not be built for it (Tests/run).
if let names = Context.environment["RELAY_TESTS"]?.split(separator: " ") {
    package.targets.removeAll { $0.type == .test && !names.contains($0.name[...]) }
}
