// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

let settings: [SwiftSetting] = [
    .treatAllWarnings(as: .error), .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"), .enableUpcomingFeature("MemberImportVisibility"),
]

// The benchmarks of the relay are apart from the product, so the product does not depend on them. `run` builds and uses
// them.
let package = Package(
    name: "relay-benchmarks",
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
    ],
    targets: [
        // Load generators, in C so that they use as little of the machine as possible; each is a process of its own.
        .executableTarget(
            name: "direct-publisher",
            cSettings: [.define("_GNU_SOURCE"), .headerSearchPath("../Measure")],
            linkerSettings: [.linkedLibrary("rabbitmq")]),
        .executableTarget(
            name: "guest-load",
            cSettings: [.define("_GNU_SOURCE"), .headerSearchPath("../Measure")],
            linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
        .executableTarget(
            name: "quiet-guests",
            cSettings: [.define("_GNU_SOURCE"), .headerSearchPath("../Measure")],
            linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
        // The server with which the conductor's handshakes are compared.
        .executableTarget(
            name: "plain-server",
            cSettings: [.define("_GNU_SOURCE")],
            linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
        // The product's package has it too, for the benches that use the product's own modules.
        .target(name: "BenchmarkFigures", path: "BenchmarkFigures", swiftSettings: settings + [.strictMemorySafety()]),
        .executableTarget(
            name: "relay-benchmark",
            dependencies: [
                "BenchmarkFigures", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
