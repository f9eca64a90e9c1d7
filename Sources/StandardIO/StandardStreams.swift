// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The standard streams of a program. They are held open, and a failed write is reported.
package enum StandardStreams {
    /// Prepares the streams. A program calls this before all else.
    ///
    /// The output of Swift's `print` (such as ArgumentParser's help) stays in a buffer of the C library until the
    /// program ends, and by default nothing checks whether it reaches its file. So this is checked when the program
    /// exits.
    package static func begin() {
        self.holdPlaces()
        _ = unsafe on_exit({ status, _ in StandardStreams.checkBuffer(status) }, nil)
    }

    /// Opens `/dev/null` for each of the three descriptors that is closed: cron jobs and service managers may close any
    /// of them.
    ///
    /// Otherwise the next file or socket would get its number, and output for the user would go into a broker's
    /// connection. `/dev/null` is opened the wrong way round (input for writing, output for reading), so that the
    /// stream fails as if it were closed.
    package static func holdPlaces() {
        for (descriptor, mode) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)]
        where fcntl(descriptor, F_GETFD) < 0 {
            // This is the lowest free number: those below it are open by now.
            _ = unsafe open("/dev/null", mode)
        }
    }

    /// Prints all of the text.
    ///
    /// - Throws: ``OutputError`` when it cannot be written, as on a full disk: then the output is missing or
    ///   incomplete.
    package static func print(_ text: String) throws(OutputError) {
        do throws(DescriptorWriter.Failure) {
            try DescriptorWriter.write(Array(text.utf8), to: STDOUT_FILENO)
            // A network file system may report a full disk only when a descriptor is closed.
            let copy = dup(STDOUT_FILENO)
            if copy >= 0, close(copy) != 0 { throw DescriptorWriter.Failure(errno: errno) }
        } catch {
            throw OutputError(error)
        }
    }

    /// Prints a message on standard error, with the program's name before each line.
    ///
    /// Ignores a failed write: no event may be lost because of a warning.
    package static func printMessage(_ message: String, program: some StringProtocol) {
        let lines = message.split(separator: "\n", omittingEmptySubsequences: false)
        let text = lines.map { "\(program): \($0)\n" }.joined()
        try? DescriptorWriter.write(Array(text.utf8), to: STDERR_FILENO)
    }

    /// Changes the exit status from success to 1 when printed text did not reach its file.
    private static func checkBuffer(_ status: CInt) {
        // All streams; standard error has no buffer.
        guard status == EXIT_SUCCESS, fflush(nil) != 0 else { return }
        let failure = OutputError(DescriptorWriter.Failure(errno: errno))
        self.printMessage(failure.description, program: CommandLine.programName)
        _exit(EXIT_FAILURE)
    }

    /// An error for output that could not be printed.
    package struct OutputError: Error, CustomStringConvertible {
        /// The error as one sentence.
        package let description: String

        init(_ failure: DescriptorWriter.Failure) {
            self.description =
                "Standard output cannot be written to (\(failure)); check that it is open, and that its file or disk is not full."
        }
    }
}

extension CommandLine {
    /// The name that the program was started by, without its directory.
    fileprivate static var programName: Substring {
        CommandLine.arguments.first?.split(separator: "/").last ?? "program"
    }
}
