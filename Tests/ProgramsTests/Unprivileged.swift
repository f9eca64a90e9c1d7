// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// Runs a program as a user whom file permissions bind: as we are, or as nobody when we are the superuser.
enum Unprivileged {
    private static let isSuperuser = geteuid() == 0

    /// The program to run, with ``arguments(_:_:)``; the fixture's files are opened to others, as far as they allow.
    static func program(_ program: Program, in relay: RelayFixture) throws -> Program {
        guard self.isSuperuser else { return program }
        for directory in [relay.directory.path, relay.path("tls")] {
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory)
        }
        return Program("setpriv")
    }

    /// The arguments of ``program(_:in:)``.
    static func arguments(_ program: Program, _ arguments: [String]) -> [String] {
        guard self.isSuperuser else { return arguments }
        return ["--reuid=65534", "--regid=65534", "--clear-groups", program.path] + arguments
    }
}
