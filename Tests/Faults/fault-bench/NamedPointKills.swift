// SPDX-License-Identifier: Apache-2.0

import FaultPoints
import Foundation

/// The number of processes of the run that ended at each named point, according to the last line of their logs.
struct NamedPointKills {
    /// The counts; points that were never reached have none.
    private(set) var counts: [FaultPoint: Int] = [:]

    /// Reads the logs of a run.
    init(in directory: String) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) where name.hasSuffix(".log") {
            let log = try String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8)
            for line in log.split(separator: "\n") where line.hasPrefix("fault point ") {
                guard let point = FaultPoint(rawValue: String(line.dropFirst("fault point ".count))) else { continue }
                self.counts[point, default: 0] += 1
            }
        }
    }

    /// The report, one line for each point.
    var lines: [String] { FaultPoint.allCases.map { "  at \($0.rawValue): \(self.counts[$0, default: 0])" } }
}
