// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessTesting

/// Cleans up after a volume on request, or when this process ends, by any signal, SIGKILL included.
///
/// A shell that waits for the end of its standard input. Only this process has the other end, and the kernel closes it
/// when this process ends.
final class VolumeKeeper: Sendable {
    private let shell: TestProcess

    /// A volume that is still in use after ten seconds is unmounted lazily, as soon as its last user is gone.
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
    ///   - home: the directory to remove at the end.
    ///   - image: the file whose loop devices are freed; nil for a filesystem without an image.
    ///   - mountPoint: the path to unmount.
    init(home: String, image: String?, mountPoint: String) throws {
        // In a session of its own: an interrupt from the keyboard goes to this process, not to the shell.
        self.shell = try TestProcess(
            "setsid", ["--wait", "sh", "-c", Self.script, "volume-keeper", mountPoint, image ?? "", home])
    }

    /// Begins to clean up, as when this process ends.
    func abandon() { self.shell.closeInput() }

    /// Cleans up, and returns when it is done, even if the task is cancelled. A second call does nothing.
    func cleanUp() async {
        self.shell.closeInput()
        _ = await Task { [shell] in await shell.outputUntilExit() }.value
    }
}
