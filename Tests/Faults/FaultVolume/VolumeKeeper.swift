// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessTesting

/// Cleans up after a volume when it is told to, or when this process is gone, by whatever signal, SIGKILL included.
///
/// A shell that waits for the end of its standard input, which is ours and nobody else's: the kernel ends it with us.
final class VolumeKeeper: Sendable {
    private let shell: TestProcess

    /// What somebody still uses after ten seconds is unmounted all the same, as soon as they are gone.
    private static let script = """
        trap '' INT TERM HUP
        cat >/dev/null
        mount=$1 image=$2 home=$3
        fsfreeze --unfreeze "$mount" 2>/dev/null
        tenths=100
        while mountpoint -q "$mount" && ! umount "$mount" 2>/dev/null; do
            [ $((tenths -= 1)) -gt 0 ] || { umount --lazy "$mount"; break; }
            sleep 0.1
        done
        [ -z "$image" ] ||
            for device in $(losetup --associated "$image" --noheadings --output NAME); do losetup --detach "$device"; done
        rm -rf --one-file-system "$home"
        """

    /// - Parameters:
    ///   - home: what is removed in the end.
    ///   - image: its loop devices are freed; nil for a filesystem without an image.
    ///   - mountPoint: is unmounted.
    init(home: String, image: String?, mountPoint: String) throws {
        // In a session of its own: an interrupt from the keyboard goes to us, not to it.
        self.shell = try TestProcess(
            "setsid", ["--wait", "sh", "-c", Self.script, "volume-keeper", mountPoint, image ?? "", home])
    }

    /// Begins to clean up, as when this process is gone.
    func abandon() { self.shell.closeInput() }

    /// Cleans up, and returns when it is done. A cancellation does not stop it. A second time it does nothing.
    func cleanUp() async {
        self.shell.closeInput()
        _ = await Task { [shell] in await shell.outputUntilExit() }.value
    }
}
