import Foundation
import Glibc

/// What a program finds open when it starts, or not: cron jobs and service managers may close any of it.
package enum StandardStreams {
    /// Holds the place of each of the three descriptors that is closed. Otherwise the next file or socket would get its
    /// number, and what is said to the user would go into a broker's connection. What holds the place can be neither
    /// read from where one reads nor written where one writes, so that the stream fails as it would closed.
    package static func holdPlaces() {
        for (descriptor, mode) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)]
        where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest free number is this one: those below it are open by now.
            _ = unsafe open("/dev/null", mode)
        }
    }

    /// Prints the text, whole.
    ///
    /// - Throws: ``OutputError`` when it cannot be written, as on a full disk: what was asked for is not there then.
    package static func print(_ text: String) throws {
        do {
            try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
        } catch {
            throw OutputError()
        }
    }

    /// What was asked for could not be printed.
    package struct OutputError: Error, CustomStringConvertible {
        /// One sentence.
        package let description =
            "Standard output cannot be written to: see that it is open, and that its file or disk is not full."
    }
}
