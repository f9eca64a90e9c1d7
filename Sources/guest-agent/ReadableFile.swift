import Foundation
import Glibc

/// Opens files whose names are not UTF-8, which Foundation cannot name.
enum ReadableFile {
    /// Returns a path that Foundation can open.
    ///
    /// - Parameter path: the bytes of the file's path.
    /// - Throws: a `CocoaError` when the file is needed open for that and cannot be opened.
    static func path(_ path: [UInt8]) throws -> String {
        if let text = String(validating: path, as: UTF8.self) { return text }
        // It stays open for as long as the program runs.
        let descriptor = unsafe open(path.map { CChar(bitPattern: $0) } + [0], O_RDONLY | O_CLOEXEC | O_NOCTTY)
        guard descriptor >= 0 else {
            switch errno {
            case ENOENT: throw CocoaError(.fileReadNoSuchFile)
            case EACCES: throw CocoaError(.fileReadNoPermission)
            default: throw CocoaError(.fileReadUnknown)
            }
        }
        return "/proc/self/fd/\(descriptor)"
    }
}
