// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
package import Notifications
import SecureFiles
import SystemPackage

/// A store in which a ``PeriodState`` survives a restart.
package protocol PeriodStore: Sendable {
    /// Persists the state. When this returns, the state survives a crash of this machine.
    func write(_ state: PeriodState) async throws
}

/// The error for an unusable state file. A gap or an overlap of periods costs money, so the reporter does not guess.
package struct PeriodStateError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A sentence that begins with the setting's name.
    package let description: String
}

/// Persists the state in a file with one JSON object:
///
/// ```
/// {"version":1,"published_until":"2015-07-10T21:05:29.870091Z","announced_until":null}
/// ```
package final class PeriodStateFile: PeriodStore {
    /// The maximum length in bytes; a longer file is not a state file.
    private static let maximumBytes = 4096

    private let path: String
    private let setting: String
    /// The queue for writes: they block on the disk, which event loops and tasks must not do.
    private let queue = DispatchQueue(label: "reports.state")

    /// - Parameters:
    ///   - path: the file. It is created by the first write; its directory is not.
    ///   - setting: the setting that names the file, for errors.
    package init(path: String, setting: String) {
        self.path = path
        self.setting = setting
    }

    /// Reads the state; returns nil when there is no file yet. Blocks briefly: call it at a program's start.
    ///
    /// - Throws: ``PeriodStateError`` when the file holds no state, or cannot be read, or its directory is not
    ///   writable.
    package func load() throws -> PeriodState? {
        let bytes: [UInt8]
        do {
            guard let read = try self.read() else {
                try self.checkDirectory()
                return nil
            }
            bytes = read
        } catch let error as Errno {
            throw self.error("cannot be read: \(error)")
        }
        try self.checkDirectory()
        guard bytes.count <= Self.maximumBytes, case .object(let object)? = try? JSONValue(json: bytes) else {
            throw self.damaged("it holds no JSON object")
        }
        let fields = JSONFields(object)
        let state: PeriodState
        do {
            guard try fields.integer("version") == 1 else { throw fields.error("version", "must be 1") }
            state = PeriodState(
                publishedUntil: try fields.timestamp("published_until"),
                announcedUntil: try fields.optionalTimestamp("announced_until"))
        } catch {
            throw self.damaged("\(error)")
        }
        if let announced = state.announcedUntil, announced <= state.publishedUntil {
            throw self.damaged("announced_until is not after published_until")
        }
        return state
    }

    /// Reads the state. If there is no file yet, it writes and returns a state whose first period begins now. Blocks
    /// briefly: call it at a program's start.
    ///
    /// - Throws: ``PeriodStateError`` as ``load()`` does, or when the file cannot be written.
    package func loadOrBegin(at now: NotificationTimestamp) throws -> PeriodState {
        if let state = try self.load() { return state }
        let state = PeriodState(publishedUntil: now)
        do {
            try self.replace(with: Self.text(of: state))
        } catch {
            throw self.error("cannot be written: \(error)")
        }
        return state
    }

    /// Writes a new file next to this one, and renames it to this one's name.
    package func write(_ state: PeriodState) async throws {
        try await withCheckedThrowingContinuation { continuation in
            self.queue.async {
                continuation.resume(
                    with: Result {
                        do {
                            try self.replace(with: Self.text(of: state))
                        } catch {
                            throw self.error("cannot be written: \(error)")
                        }
                    })
            }
        }
    }

    private static func text(of state: PeriodState) -> [UInt8] {
        JSONWriter.encode([
            "version": 1,
            "published_until": .string(state.publishedUntil.text(.microsecondsUTC)),
            "announced_until": state.announcedUntil.map { .string($0.text(.microsecondsUTC)) } ?? .null,
        ]) + [UInt8(ascii: "\n")]
    }

    private func read() throws -> [UInt8]? {
        let file: FileDescriptor
        do {
            file = try FileDescriptor.open(FilePath(self.path), .readOnly, options: [.closeOnExec, .nonBlocking])
        } catch Errno.noSuchFileOrDirectory {
            return nil
        }
        return try file.closeAfter {
            var bytes: [UInt8] = []
            while bytes.count <= Self.maximumBytes {
                var chunk = [UInt8](repeating: 0, count: Self.maximumBytes)
                let count = unsafe try chunk.withUnsafeMutableBytes { unsafe try file.read(into: $0) }
                if count == 0 { break }
                bytes.append(contentsOf: chunk[..<count])
            }
            return bytes
        }
    }

    private func replace(with text: [UInt8]) throws {
        // The text goes into a new file in the same directory first. A symbolic link of that name could lead to another
        // user's file.
        guard let name = FilePath(self.path).lastComponent?.string else { throw Errno.isDirectory }
        do throws(FileError) {
            try CheckedDirectory(self.directory, for: .reading).replace(name, with: text)
        } catch {
            throw error.code == 0 ? error as any Error : Errno(rawValue: error.code)
        }
    }

    private var directory: String {
        let directory = FilePath(self.path).removingLastComponent()
        return directory.isEmpty ? "." : directory.string
    }

    private func checkDirectory() throws {
        guard unsafe access(self.directory, W_OK | X_OK) == 0 else {
            throw self.error("cannot be written, because of its directory: \(Errno(rawValue: errno))")
        }
    }

    private func error(_ problem: String) -> PeriodStateError {
        PeriodStateError(description: "\(self.setting): the file \(self.path) \(problem).")
    }

    private func damaged(_ reason: String) -> PeriodStateError {
        self.error(
            """
            is damaged (\(reason)): the end of the last period is unknown. Repair the file, or remove it to start over, which \
            leaves a gap in the reported periods
            """)
    }
}
