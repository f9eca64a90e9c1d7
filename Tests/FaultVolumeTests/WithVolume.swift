// SPDX-License-Identifier: Apache-2.0

import FaultVolume
import Foundation

/// Runs the body with a new volume, which is destroyed afterwards in any case.
func withVolume(megabytes: Int = 32, _ body: (SpoolVolume) async throws -> Void) async throws {
    let volume = try await SpoolVolume.make(in: FileManager.default.temporaryDirectory, megabytes: megabytes)
    do {
        try await body(volume)
    } catch {
        await volume.destroy()
        throw error
    }
    await volume.destroy()
}
