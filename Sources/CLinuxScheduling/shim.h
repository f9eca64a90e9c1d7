#ifndef C_LINUX_SCHEDULING_SHIM_H
#define C_LINUX_SCHEDULING_SHIM_H

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

// sched_setattr(2), which glibc has a function for only since 2.41, and whose header no other may be included beside.
struct linux_scheduling_attributes {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    // Of the policy 0 (SCHED_OTHER), the slice in nanoseconds; kernels before 6.12 take no notice of it.
    uint64_t runtime;
    uint64_t deadline;
    uint64_t period;
};

// Gives the calling thread a niceness and a slice. Returns 0, or what errno says.
static inline int linux_scheduling_set(int nice, uint64_t slice_nanoseconds) {
    struct linux_scheduling_attributes attributes = {.size = sizeof attributes, .nice = nice, .runtime = slice_nanoseconds};
    return syscall(SYS_sched_setattr, 0, &attributes, 0) == 0 ? 0 : errno;
}

#endif
