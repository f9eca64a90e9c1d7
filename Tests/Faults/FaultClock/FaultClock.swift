// SPDX-License-Identifier: Apache-2.0

public import Glibc

// Preloaded into a guest of the fault bench, this library gives it a wall clock that the bench can set while it runs: by
// as many seconds as the eight bytes of the file hold that RELAY_FAULT_CLOCK names. Other clocks stay as they are, as
// they do when an operator or NTP sets a real one. (libfaketime takes over the timers as well, and stops those of Dispatch.)

private typealias ClockGetTime = @convention(c) (clockid_t, UnsafeMutablePointer<timespec>) -> CInt

/// The C library's own, behind ours. `RTLD_NEXT` is a macro that Swift does not see.
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

/// Takes the place of the C library's function.
@_cdecl("clock_gettime")
public func faultyClockGetTime(_ clock: clockid_t, _ time: UnsafeMutablePointer<timespec>) -> CInt {
    let result = original(clock, time)
    if clock == CLOCK_REALTIME, let offset { time.pointee.tv_sec += Int(offset.pointee) }
    return result
}

/// Takes the place of the C library's function, which OpenSSL looks at certificates with.
@_cdecl("time")
public func faultyTime(_ result: UnsafeMutablePointer<time_t>?) -> time_t {
    var now = timespec()
    _ = faultyClockGetTime(CLOCK_REALTIME, &now)
    result?.pointee = now.tv_sec
    return now.tv_sec
}
