// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessTesting

/// A power cut that is prepared: it takes well below a millisecond, while starting a program takes a hundred.
///
/// It keeps the volume busy until ``cut()`` or ``disarm()`` is called.
package final class ArmedPowerCut: Sendable {
    private let process: TestProcess

    /// Calls FS_IOC_SHUTDOWN of linux/ext4.h with EXT4_GOING_FLAGS_NOLOGFLUSH: the journal's last transactions are lost
    /// too. Swift cannot call `ioctl`, which is variadic.
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

    /// Cuts the power; see ``SpoolVolume/cutPower()``.
    package func cut() async throws {
        try self.process.send("now\n")
        let output = await Task { [process] in await process.outputUntilExit() }.value
        self.process.closeInput()
        guard output.contains("cut") else { throw VolumeError("The power could not be cut: \(output)") }
    }

    /// Cancels the power cut.
    package func disarm() async { await self.process.finish() }
}
