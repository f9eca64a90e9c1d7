// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// The rows that were requested.
struct RowChoice: ParsableArguments {
    @Argument(help: "The rows, or the beginnings of their names; all if none is named.")
    var names: [String] = []

    /// - Parameter withSweep: whether the rows of the drawing are measured as well.
    func rows(withSweep: Bool = false) throws -> [Row] {
        let all = Row.all + ConnectionSweep.rows
        for name in self.names where !all.contains(where: { $0.name.hasPrefix(name) }) {
            let known = Row.all.map(\.name).joined(separator: ", ")
            throw ValidationError("There is no row \(name); there are \(known), and connections.")
        }
        var chosen = all.filter { row in self.names.contains { row.name.hasPrefix($0) } }
        if self.names.isEmpty { chosen += Row.all }
        if withSweep { chosen += ConnectionSweep.rows }
        // The rows with which they are compared are included.
        return all.filter { row in chosen.contains { $0.name == row.name || $0.reference == row.name } }
    }

    func validate() throws { _ = try self.rows() }
}
