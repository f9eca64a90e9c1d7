import Glibc

/// The standard streams of a program: held open, and written to so that what cannot be written is noticed.
package enum StandardStreams {
    /// Prepares the streams; the first thing that a program does.
    ///
    /// What Swift's `print` writes (ArgumentParser's help, for one) lies in a buffer of the C library until the program ends, and
    /// nobody would look whether it reached its file. So this is looked at when the program exits.
    package static func begin() {
        self.holdPlaces()
        _ = unsafe on_exit({ status, _ in StandardStreams.checkBuffer(status) }, nil)
    }

    /// Holds the place of each of the three descriptors that is closed: cron jobs and service managers may close any of them.
    /// Otherwise the next file or socket would get its number, and what is said to the user would go into a broker's
    /// connection. What holds the place can be neither read from where one reads nor written where one writes, so that the
    /// stream fails as it would closed.
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
    package static func print(_ text: String) throws(OutputError) {
        do throws(DescriptorWriter.Failure) {
            try DescriptorWriter.write(Array(text.utf8), to: STDOUT_FILENO)
            // A file system on a network says only at a close that a disk was full.
            let copy = dup(STDOUT_FILENO)
            if copy >= 0, close(copy) != 0 { throw DescriptorWriter.Failure(errno: errno) }
        } catch {
            throw OutputError(error)
        }
    }

    /// Writes a message to standard error, the program's name before each of its lines.
    ///
    /// Where nobody can read it, the work goes on: no event may be lost to a warning.
    package static func say(_ message: String, program: some StringProtocol) {
        let lines = message.split(separator: "\n", omittingEmptySubsequences: false)
        let text = lines.map { "\(program): \($0)\n" }.joined()
        try? DescriptorWriter.write(Array(text.utf8), to: STDERR_FILENO)
    }

    /// Turns success into the exit status 1 when something was printed that did not reach its file.
    private static func checkBuffer(_ status: CInt) {
        // All streams; standard error has no buffer.
        guard status == EXIT_SUCCESS, fflush(nil) != 0 else { return }
        let failure = OutputError(DescriptorWriter.Failure(errno: errno))
        self.say(failure.description, program: CommandLine.programName)
        _exit(EXIT_FAILURE)
    }

    /// What was asked for could not be printed.
    package struct OutputError: Error, CustomStringConvertible {
        /// One sentence.
        package let description: String

        init(_ failure: DescriptorWriter.Failure) {
            self.description =
                "Standard output cannot be written to (\(failure)): see that it is open, and that its file or disk is not full."
        }
    }
}

extension CommandLine {
    /// The name that the program was started by, without its directory.
    fileprivate static var programName: Substring {
        CommandLine.arguments.first?.split(separator: "/").last ?? "program"
    }
}
