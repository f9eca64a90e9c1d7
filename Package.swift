// swift-tools-version: 6.2
import PackageDescription

// Warnings are errors everywhere. The rooms that never touch memory by hand say so with strict memory safety: an
// `unsafe` there is a reviewer's signal. The two rooms that are bindings to C (TLSSocket, RabbitMQ) would carry the
// word on every line, where it would tell nobody anything.
let settings: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]
let strict = settings + [.strictMemorySafety()]

let package = Package(
    name: "conductor-notification-relay",
    products: [
        .library(name: "GuestAgent", targets: ["GuestAgent"]),
        .library(name: "Notifier", targets: ["Notifier"]),
        .executable(name: "conductor", targets: ["conductor"]),
        .executable(name: "guest-agent", targets: ["guest-agent"]),
    ],
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

        // Rooms, lowest first; a room knows only rooms above it in this list (Docs/architecture.md).
        .target(name: "Notifications", swiftSettings: strict),
        .target(
            name: "TLSSocket",
            dependencies: [
                "CConductorOpenSSL",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOTLS", package: "swift-nio"),
            ], swiftSettings: settings),
        .target(
            name: "RabbitMQ",
            dependencies: [
                "CConductorRabbitMQ",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ], swiftSettings: settings),
        .target(
            name: "Settings",
            dependencies: [
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Yams", package: "Yams"),
            ], swiftSettings: strict),
        .target(
            name: "CatalogueFiles",
            dependencies: ["Notifications", "Settings", .product(name: "Yams", package: "Yams")],
            swiftSettings: strict),
        .target(
            name: "ConductorRPC",
            dependencies: [
                "Notifications", "TLSSocket",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOExtras", package: "swift-nio-extras"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOTLS", package: "swift-nio"),
            ], swiftSettings: strict),
        .target(
            name: "Notifier",
            dependencies: [
                "Notifications", "RabbitMQ",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ], swiftSettings: strict),
        .target(
            name: "GuestSpool",
            dependencies: [
                "Notifications",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
            ], swiftSettings: strict),
        .target(
            name: "GuestAgent",
            dependencies: [
                "ConductorRPC", "GuestSpool", "Notifications", "TLSSocket",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ], swiftSettings: strict),
        .target(
            name: "ConductorService",
            dependencies: [
                "ConductorRPC", "Notifications", "Notifier", "TLSSocket",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOExtras", package: "swift-nio-extras"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ], swiftSettings: strict),
        .target(
            name: "PeriodicReports",
            dependencies: [
                "Notifications", "Notifier",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ], swiftSettings: strict),

        // The programs: argument parsing and wiring only.
        .executableTarget(
            name: "conductor",
            dependencies: [
                "CatalogueFiles", "ConductorRPC", "ConductorService", "Notifications", "Notifier", "PeriodicReports",
                "Settings",
                "TLSSocket",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ], swiftSettings: strict),
        .executableTarget(
            name: "guest-agent",
            dependencies: [
                "GuestAgent", "GuestSpool", "Settings", "TLSSocket",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ], swiftSettings: strict),

        // One test target a room.
        .testTarget(
            name: "ConductorRPCTests",
            dependencies: [
                "ConductorRPC", "Notifications", "TLSSocket",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOExtras", package: "swift-nio-extras"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ], swiftSettings: settings),
        .testTarget(name: "NotificationsTests", dependencies: ["Notifications"], swiftSettings: settings),
        .testTarget(
            name: "CatalogueFilesTests", dependencies: ["CatalogueFiles", "Notifications"], swiftSettings: strict),
        .testTarget(name: "SettingsTests", dependencies: ["Settings"], swiftSettings: strict),
        .testTarget(
            name: "TLSSocketTests",
            dependencies: [
                "CConductorOpenSSL", "ProcessTesting", "TLSSocket",
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOTLS", package: "swift-nio"),
            ], swiftSettings: settings),
        .testTarget(
            name: "ConductorServiceTests",
            dependencies: [
                "BrokerTesting", "ConductorRPC", "ConductorService", "GuestAgent", "GuestSpool", "LogTesting",
                "Notifications",
                "Notifier", "ProcessTesting", "RabbitMQ", "RelayTesting", "TLSSocket",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ], swiftSettings: settings),
        .testTarget(
            name: "GuestAgentTests",
            dependencies: [
                "ConductorRPC", "ConductorService", "GuestSpool", "Notifier", "RelayTesting", "TLSSocket",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                "GuestAgent",
            ], swiftSettings: settings),
        .testTarget(name: "GuestSpoolTests", dependencies: ["GuestSpool", "Notifications"], swiftSettings: settings),
        .testTarget(
            name: "NotifierTests",
            dependencies: [
                "BrokerTesting", "Notifications", "Notifier", "RabbitMQ", "RelayTesting",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
            ], swiftSettings: settings),
        .testTarget(
            name: "PeriodicReportsTests",
            dependencies: [
                "BrokerTesting", "LogTesting", "Notifications", "Notifier", "PeriodicReports",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ], swiftSettings: settings),
        // What tests read of a log.
        .target(
            name: "LogTesting",
            dependencies: [
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
            ], path: "Tests/LogTesting", swiftSettings: settings),
        // Programs that tests run and talk to.
        .target(
            name: "ProcessTesting",
            dependencies: [.product(name: "NIOConcurrencyHelpers", package: "swift-nio")],
            path: "Tests/ProcessTesting", swiftSettings: settings),
        // What several test targets need to meet a running conductor.
        .target(
            name: "RelayTesting",
            dependencies: [
                "ConductorRPC", "ConductorService", "Notifications", "Notifier", "TLSSocket",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ], path: "Tests/RelayTesting", swiftSettings: settings),
        // What several test targets need to meet a real broker.
        .target(
            name: "BrokerTesting",
            dependencies: [
                "CConductorRabbitMQ",
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ], path: "Tests/BrokerTesting", swiftSettings: settings),
        .testTarget(
            name: "RabbitMQTests",
            dependencies: [
                "BrokerTesting", "CConductorRabbitMQ", "LogTesting", "RabbitMQ",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "ServiceLifecycleTestKit", package: "swift-service-lifecycle"),
            ], swiftSettings: settings),
        // The programs as processes; the dependency on them sees to it that they are built.
        .testTarget(
            name: "ProgramsTests",
            dependencies: [
                "BrokerTesting", "Notifications", "Notifier", "conductor", "guest-agent",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
