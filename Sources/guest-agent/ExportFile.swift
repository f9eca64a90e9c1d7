// SPDX-License-Identifier: Apache-2.0

import GuestAgent
import Notifications
import SecureFiles

/// A file of JSON lines that either is complete and on the disk, or does not exist.
struct ExportFile: ~Copyable {
    private var file: NewFile

    /// Creates the file, which only this user may read and write.
    ///
    /// - Throws: ``ExportFileError`` when the file exists already or cannot be created.
    init(_ path: String) throws(ExportFileError) {
        do throws(FileError) {
            self.file = try NewFile(path)
        } catch {
            throw ExportFileError(error)
        }
    }

    /// Appends a line.
    func write(_ object: JSONObject) throws(ExportFileError) {
        do throws(FileError) {
            try self.file.write(JSONWriter.encode(.object(object)) + [UInt8(ascii: "\n")])
        } catch {
            throw ExportFileError(error)
        }
    }

    /// Keeps the file. Returns when the file, and its name in the directory, are on the disk.
    mutating func keep() throws(ExportFileError) {
        do throws(FileError) {
            try self.file.keep()
        } catch {
            throw ExportFileError(error)
        }
    }
}

/// An error for outcomes that could not be written to a file.
struct ExportFileError: Error, CustomStringConvertible {
    /// One sentence or two.
    let description: String

    init(_ error: FileError) { self.description = "\(error) Nothing was removed from the spool." }
}
