// SPDX-License-Identifier: Apache-2.0

import Foundation
import Notifications
import Settings

/// A JSON file that an option names; `-` is standard input.
struct JSONInputFile {
    /// The option, for errors: `--payload`.
    let option: String
    /// The file's path, or `-`.
    let path: String

    /// The largest file that is accepted, in bytes: more than any broker takes. It limits how much is read.
    private static let limit = 64 << 20

    private var name: String { self.path == "-" ? "standard input" : self.path }

    /// Returns the JSON object that the file holds.
    ///
    /// - Throws: ``EventDataError`` that names the option and the file.
    func object() throws -> JSONObject {
        let data: Data
        do {
            data = try self.read()
        } catch {
            throw EventDataError("\(self.option): \(self.name) \(ReadFailure(error, path: self.path)).")
        }
        guard data.count <= Self.limit else {
            throw EventDataError("\(self.option): \(self.name) is longer than \(Self.limit) bytes.")
        }
        do {
            guard case .object(let object) = try JSONValue(json: Array(data)) else {
                throw EventDataError("\(self.option): \(self.name) must hold one JSON object.")
            }
            return object
        } catch let error as JSONError {
            throw EventDataError("\(self.option): \(self.name) is not JSON: \(error).")
        }
    }

    private func read() throws -> Data {
        if self.path == "-" { return try Self.read(.standardInput) }
        let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: self.path))
        defer { try? handle.close() }
        return try Self.read(handle)
    }

    private static func read(_ handle: FileHandle) throws -> Data {
        try handle.read(upToCount: Self.limit + 1) ?? Data()
    }
}
