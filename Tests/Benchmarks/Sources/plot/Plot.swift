// SPDX-License-Identifier: Apache-2.0

import Foundation
import LineChart

/// Reads a chart from standard input with ``LineChart/init(reading:)``, and prints the SVG.
@main
struct Plot {
    static func main() {
        do {
            let chart = try LineChart(reading: Array(AnyIterator { readLine() }))
            FileHandle.standardOutput.write(Data(chart.svg.utf8))
        } catch {
            FileHandle.standardError.write(Data("plot: \(error)\n".utf8))
            exit(65)
        }
    }
}
