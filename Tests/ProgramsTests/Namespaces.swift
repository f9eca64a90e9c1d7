// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// Checks whether tests may use mounts and namespaces, which a container often forbids.
enum Namespaces {
    /// Whether directories can be mounted, and namespaces made.
    static let canMount = {
        let script =
            #"directory=$(mktemp -d) && mount --bind "$directory" "$directory" && umount "$directory"; s=$?; rmdir "$directory"; exit $s"#
        return geteuid() == 0 && Self.succeeds(["unshare", "--uts", "--ipc", "--net", "--cgroup", "sh", "-c", script])
    }()
    /// Whether a user without rights can make a namespace in which root has no number.
    static let canMapUsers =
        geteuid() == 0 && Self.succeeds(VolumeUser.prefix + ["unshare", "--user", "--map-current-user", "true"])

    private static func succeeds(_ command: [String]) -> Bool {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = command
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}

/// A user without a name or rights, in the group of a volume.
enum VolumeUser {
    static let user: uid_t = 61_000
    static let group: gid_t = 61_001
    /// Becomes this user, and then the program that follows.
    static let prefix = ["setpriv", "--reuid=\(Self.user)", "--regid=\(Self.user)", "--groups=\(Self.group)"]
}
