import GuestAgent
import SecureFiles

/// A file of JSON lines that is whole and on the disk, or not there.
struct ExportFile: ~Copyable {
    private var file: NewFile

    /// Makes the file, for this user only.
    ///
    /// - Throws: ``ExportFileError`` when it is there already or cannot be made.
    init(_ path: String) throws(ExportFileError) {
        do throws(FileError) {
            self.file = try NewFile(path)
        } catch {
            throw ExportFileError(error)
        }
    }

    /// Adds a line.
    func write(_ object: JSONObject) throws(ExportFileError) {
        do throws(FileError) {
            try self.file.write(JSONWriter.encode(.object(object)) + [UInt8(ascii: "\n")])
        } catch {
            throw ExportFileError(error)
        }
    }

    /// Returns when the file, and its name in the directory, are on the disk.
    mutating func keep() throws(ExportFileError) {
        do throws(FileError) {
            try self.file.keep()
        } catch {
            throw ExportFileError(error)
        }
    }
}

/// Why outcomes could not be written to a file.
struct ExportFileError: Error, CustomStringConvertible {
    /// One sentence or two.
    let description: String

    init(_ error: FileError) { self.description = "\(error) Nothing was taken out of the spool." }
}
