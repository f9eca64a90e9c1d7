// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessTesting

/// A power cut that is ready: it takes well below a millisecond, where to start a program would take a hundred.
///
/// It keeps the volume busy; cut in the end, or ``disarm()``.
package final class ArmedPowerCut: Sendable {
    private let process: TestProcess

    /// FS_IOC_SHUTDOWN of linux/ext4.h with EXT4_GOING_FLAGS_NOLOGFLUSH: the journal's last transactions are lost too.
    /// Swift cannot call `ioctl`, which takes any number of arguments.
    private static let script = """
        import fcntl, os, struct, sys
        volume = os.open(sys.argv[1], os.O_RDONLY)
        print("armed", flush=True)
        if sys.stdin.readline():
            fcntl.ioctl(volume, 0x8004587D, struct.pack("I", 2))
            print("cut", flush=True)
        """

    init(path: String) async throws {
        self.process = try TestProcess("/usr/bin/python3", ["-c", Self.script, path])
        let output = await self.process.outputUntil("armed")
        guard output.contains("armed") else { throw VolumeError("A power cut cannot be made ready: \(output)") }
    }

    /// The power goes; see ``SpoolVolume/cutPower()``.
    package func cut() async throws {
        try self.process.send("now\n")
        let output = await Task { [process] in await process.outputUntilExit() }.value
        self.process.closeInput()
        guard output.contains("cut") else { throw VolumeError("The power could not be cut: \(output)") }
    }

    /// The power stays.
    package func disarm() async { await self.process.finish() }
}
