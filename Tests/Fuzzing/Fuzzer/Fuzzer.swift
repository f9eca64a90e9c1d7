// SPDX-License-Identifier: Apache-2.0

import FuzzEntries
import Glibc

private let entry: FuzzEntry = {
    let name = unsafe getenv("RELAY_FUZZ_ENTRY").map { unsafe String(cString: $0) } ?? ""
    guard let entry = FuzzEntry(rawValue: name) else {
        fatalError("RELAY_FUZZ_ENTRY must be one of \(FuzzEntry.allCases.map(\.rawValue))")
    }
    return entry
}()

/// Called by libFuzzer, which is linked in and contains the program's entry point.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = unsafe bytes.map { unsafe Array(UnsafeBufferPointer(start: $0, count: count)) } ?? []
    // Crashes, so that libFuzzer keeps the input.
    if let problem = entry.problem(with: input) { fatalError("\(entry.rawValue): \(problem)") }
    return 0
}
