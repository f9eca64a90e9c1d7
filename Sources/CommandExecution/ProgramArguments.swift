// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The arguments of this program as the bytes that the caller passed.
///
/// `CommandLine.arguments` has U+FFFD in place of bytes that are not UTF-8, which file names may contain.
package enum ProgramArguments {
    /// All arguments, the program's own name first, each without its terminating zero.
    package static var all: [[UInt8]] {
        (0..<Int(CommandLine.argc)).map { index in
            guard let argument = unsafe CommandLine.unsafeArgv[index] else { return [] }
            let count = unsafe strlen(argument)
            return unsafe UnsafeBufferPointer(start: argument, count: count).map { UInt8(bitPattern: $0) }
        }
    }

    /// Returns the arguments before the first `--`, which are this program's own.
    package static func own(_ arguments: [[UInt8]]) -> ArraySlice<[UInt8]> {
        arguments.prefix { $0 != Self.terminator }
    }

    /// Returns the arguments after the first `--`: a command and its arguments.
    package static func command(_ arguments: [[UInt8]]) -> ArraySlice<[UInt8]> {
        arguments.dropFirst(self.own(arguments).count + 1)
    }

    /// Returns the bytes of an option's value that the argument parser has read as this text.
    package static func bytes(of text: String, option: String, in arguments: [[UInt8]]) -> [UInt8] {
        let prefix = Array("\(option)=".utf8)
        for argument in self.own(arguments) {
            let value = argument.starts(with: prefix) ? Array(argument.dropFirst(prefix.count)) : argument
            if String(decoding: value, as: UTF8.self) == text { return value }
        }
        return Array(text.utf8)
    }

    /// Returns, as text, the first of this program's own arguments that is not UTF-8, except for values of these
    /// options.
    package static func notText(_ arguments: [[UInt8]], except options: [String]) -> String? {
        var previous = ""
        for argument in self.own(arguments).dropFirst() {
            let text = String(decoding: argument, as: UTF8.self)
            let isExcepted = options.contains { previous == $0 || text.hasPrefix("\($0)=") }
            if !isExcepted, String(validating: argument, as: UTF8.self) == nil { return text }
            previous = text
        }
        return nil
    }

    /// Returns the name of the first environment variable with this prefix whose value is not UTF-8.
    package static func variableThatIsNoText(prefix: String) -> String? {
        var entry = unsafe environ
        while let text = unsafe entry.pointee {
            let bytes = unsafe UnsafeBufferPointer(start: text, count: strlen(text)).map { UInt8(bitPattern: $0) }
            if bytes.starts(with: prefix.utf8), String(validating: bytes, as: UTF8.self) == nil {
                return String(decoding: bytes.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self)
            }
            unsafe entry += 1
        }
        return nil
    }

    private static let terminator = Array("--".utf8)
}
