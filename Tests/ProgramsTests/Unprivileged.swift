// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// Runs a program as a user to whom file permissions apply: the present one, or `nobody` if that is the superuser.
enum Unprivileged {
    private static let isSuperuser = geteuid() == 0

    /// Returns the program to run with ``arguments(_:_:)``, and lets other users enter the fixture's directories.
    static func program(_ program: Program, in relay: RelayFixture) throws -> Program {
        guard self.isSuperuser else { return program }
        for directory in [relay.directory.path, relay.path("tls")] {
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory)
        }
        return Program("setpriv")
    }

    /// Returns the arguments of ``program(_:in:)``.
    static func arguments(_ program: Program, _ arguments: [String]) -> [String] {
        guard self.isSuperuser else { return arguments }
        return ["--reuid=65534", "--regid=65534", "--clear-groups", program.path] + arguments
    }
}
