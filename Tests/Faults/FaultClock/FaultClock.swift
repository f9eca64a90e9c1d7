// SPDX-License-Identifier: Apache-2.0

public import Glibc

// This library is preloaded into a guest of the fault bench. It gives the guest a wall clock that the bench can set
// while the guest runs: by the number of seconds in the eight bytes of the file that RELAY_FAULT_CLOCK names. Other
// clocks do not change, as when an operator or NTP sets a real one. (libfaketime also changes the timers, and stops
// those of Dispatch.)

private typealias ClockGetTime = @convention(c) (clockid_t, UnsafeMutablePointer<timespec>) -> CInt

/// The C library's function, which this one replaces. `RTLD_NEXT` is a macro that Swift does not see.
private let original = unsafeBitCast(
    dlsym(UnsafeMutableRawPointer(bitPattern: -1), "clock_gettime"), to: ClockGetTime.self)

private nonisolated(unsafe) let offset: UnsafePointer<Int64>? = {
    guard let path = getenv("RELAY_FAULT_CLOCK") else { return nil }
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    guard let memory = mmap(nil, MemoryLayout<Int64>.size, PROT_READ, MAP_SHARED, file, 0), memory != MAP_FAILED else {
        return nil
    }
    return UnsafePointer(memory.assumingMemoryBound(to: Int64.self))
}()

/// Replaces the C library's function.
@_cdecl("clock_gettime")
public func faultyClockGetTime(_ clock: clockid_t, _ time: UnsafeMutablePointer<timespec>) -> CInt {
    let result = original(clock, time)
    if clock == CLOCK_REALTIME, let offset { time.pointee.tv_sec += Int(offset.pointee) }
    return result
}

/// Replaces the C library's function, which OpenSSL uses to check certificates.
@_cdecl("time")
public func faultyTime(_ result: UnsafeMutablePointer<time_t>?) -> time_t {
    var now = timespec()
    _ = faultyClockGetTime(CLOCK_REALTIME, &now)
    result?.pointee = now.tv_sec
    return now.tv_sec
}
