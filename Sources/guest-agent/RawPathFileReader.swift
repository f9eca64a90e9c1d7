// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A reader of files whose names need not be UTF-8. Foundation reads only files with UTF-8 names.
enum RawPathFileReader {
    /// Reads the file to its end.
    ///
    /// - Parameter path: the bytes of the file's path.
    /// - Throws: a `CocoaError` when it cannot be read.
    static func read(_ path: [UInt8]) throws -> Data {
        if let text = String(validating: path, as: UTF8.self) {
            return try Data(contentsOf: URL(fileURLWithPath: text))
        }
        let descriptor = unsafe open(path.map { CChar(bitPattern: $0) } + [0], O_RDONLY | O_CLOEXEC | O_NOCTTY)
        guard descriptor >= 0 else {
            switch errno {
            case ENOENT: throw CocoaError(.fileReadNoSuchFile)
            case EACCES: throw CocoaError(.fileReadNoPermission)
            default: throw CocoaError(.fileReadUnknown)
            }
        }
        return try FileHandle(fileDescriptor: descriptor, closeOnDealloc: true).readToEnd() ?? Data()
    }
}
