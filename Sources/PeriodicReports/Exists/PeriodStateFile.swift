import Dispatch
import Glibc
package import Notifications
import SecureFiles
import SystemPackage

/// Where a ``PeriodState`` survives a restart.
package protocol PeriodStore: Sendable {
    /// Writes the state so that it survives a crash of this machine once this has returned.
    func write(_ state: PeriodState) async throws
}

/// A state file that is not to be worked with: a gap or an overlap of periods is money, so that nothing is guessed.
package struct PeriodStateError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A sentence that begins with the setting's name.
    package let description: String
}

/// The state as a file with one JSON object:
///
/// ```
/// {"version":1,"published_until":"2015-07-10T21:05:29.870091Z","announced_until":null}
/// ```
package final class PeriodStateFile: PeriodStore {
    /// A file longer than this is not ours.
    private static let maximumBytes = 4096

    private let path: String
    private let setting: String
    /// Writing waits for the disk, which nobody's event loop or task may.
    private let queue = DispatchQueue(label: "reports.state")

    /// - Parameters:
    ///   - path: the file; it is made when it is first written, its directory is not.
    ///   - setting: the setting that names it, for errors.
    package init(path: String, setting: String) {
        self.path = path
        self.setting = setting
    }

    /// What the file says; nil when there is no file yet. Blocks for a moment: for a program's start.
    ///
    /// - Throws: ``PeriodStateError`` when the file holds no state, or cannot be read, or its directory is not writable.
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

    /// What the file says; where there is no file yet, a state whose first period begins now, which is written. Blocks
    /// for a moment: for a program's start.
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

    /// Writes a file beside it, and puts that in its place.
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
        // Beside it first, in a file of its own: a link of that name would lead to somebody else's.
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
            throw self.error("cannot be written: its directory: \(Errno(rawValue: errno))")
        }
    }

    private func error(_ problem: String) -> PeriodStateError {
        PeriodStateError(description: "\(self.setting): the file \(self.path) \(problem).")
    }

    private func damaged(_ reason: String) -> PeriodStateError {
        self.error(
            """
            is damaged (\(reason)): where the last period ended is not known. Mend it, or remove it to begin anew, which \
            leaves a gap
            """)
    }
}
