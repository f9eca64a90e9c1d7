// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The reason why a file could not be read, as the rest of a sentence that begins with the file's path.
package struct ReadFailure: Sendable, CustomStringConvertible {
    /// The problem, and what to do about it.
    package let description: String

    /// - Parameters:
    ///   - error: the error that Foundation threw.
    ///   - path: the file's path.
    package init(_ error: any Error, path: String) {
        switch error {
        case CocoaError.fileReadNoSuchFile, CocoaError.fileNoSuchFile:
            self.description = "does not exist; create it or give another path"
        case CocoaError.fileReadNoPermission:
            self.description = "may not be read by this user; change its owner or mode"
        case _ where Self.isDirectory(path): self.description = "is a directory; give the path of a file"
        default: self.description = "cannot be read; check the path and the disk"
        }
    }

    private static func isDirectory(_ path: String) -> Bool {
        let resolved = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        let attributes = try? FileManager.default.attributesOfItem(atPath: resolved)
        return attributes?[.type] as? FileAttributeType == .typeDirectory
    }
}
