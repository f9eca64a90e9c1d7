// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The results that a load generator prints (`Sources/Measure/measure.h`).
struct LoadResult {
    /// The number of messages that were confirmed or answered.
    var messages: Double
    /// The duration of the run.
    var seconds: Double
    /// The generator's own processor time, in microseconds.
    var processor: Double
    /// The microseconds from a message to its confirm, or from a request to its answer; NaN if unknown.
    var p50, p99, p999: Double
    /// The conductor's processor time, and the broker's, in microseconds.
    var conductor = 0.0, broker = 0.0

    /// The number of messages a second.
    var rate: Double { self.messages / self.seconds }

    /// - Parameter line: `name=value` pairs.
    init(_ line: String) throws {
        var values: [Substring: Double] = [:]
        for pair in line.split(whereSeparator: \.isWhitespace) {
            let parts = pair.split(separator: "=")
            if parts.count == 2 { values[parts[0]] = Double(parts[1]) }
        }
        guard let messages = values["messages"], let seconds = values["seconds"],
            let processor = values["processor_us"],
            messages > 0
        else { throw LoadError(description: "A load generator said \(line.debugDescription).") }
        (self.messages, self.seconds, self.processor) = (messages, seconds, processor)
        self.p50 = values["p50_us"] ?? .nan
        self.p99 = values["p99_us"] ?? .nan
        self.p999 = values["p999_us"] ?? .nan
    }
}

/// The error of a load generator that failed.
struct LoadError: Error, CustomStringConvertible {
    let description: String
}

/// A load generator's process.
struct LoadGenerator {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    /// Starts the program. Its errors appear on standard error.
    init(_ path: String, _ arguments: [String]) throws {
        self.process.executableURL = URL(fileURLWithPath: path)
        self.process.arguments = arguments
        self.process.standardInput = self.input
        self.process.standardOutput = self.output
        try self.process.run()
    }

    /// Waits until it has printed that it is ready.
    func waitUntilReady() throws {
        var said = Data()
        while !said.contains(UInt8(ascii: "\n")) {
            let more = self.output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw LoadError(description: "A load generator ended before it began.") }
            said += more
        }
    }

    /// Lets it begin.
    func begin() throws { try self.input.fileHandleForWriting.write(contentsOf: Data("\n".utf8)) }

    /// Waits for its end.
    func finish() throws -> String {
        let said = try self.output.fileHandleForReading.readToEnd() ?? Data()
        self.process.waitUntilExit()
        guard self.process.terminationStatus == 0 else {
            throw LoadError(description: "A load generator ended with status \(self.process.terminationStatus).")
        }
        return String(decoding: said, as: UTF8.self)
    }
}
