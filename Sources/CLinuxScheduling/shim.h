// SPDX-License-Identifier: Apache-2.0

#ifndef C_LINUX_SCHEDULING_SHIM_H
#define C_LINUX_SCHEDULING_SHIM_H

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

// The struct of sched_setattr(2). glibc has a function for it only since 2.41, and the header with the struct cannot be
// included together with others.
struct linux_scheduling_attributes {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    // For a thread under fair scheduling, the time slice in nanoseconds; kernels before 6.12 ignore it.
    uint64_t runtime;
    uint64_t deadline;
    uint64_t period;
};

// Lowers the priority of the calling thread: adds `nicer` to its nice value (19 at most) and sets its time slice, under
// its present policy (SCHED_OTHER, SCHED_BATCH or SCHED_IDLE). Returns 0, or the value of errno.
static inline int linux_scheduling_give_way(int nicer, uint64_t slice_nanoseconds) {
    struct linux_scheduling_attributes attributes = {.size = sizeof attributes};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) {
        return errno;
    }
    attributes.size = sizeof attributes;
    attributes.nice = attributes.nice + nicer > 19 ? 19 : attributes.nice + nicer;
    attributes.runtime = slice_nanoseconds;
    return syscall(SYS_sched_setattr, 0, &attributes, 0) == 0 ? 0 : errno;
}

// Returns the number of processors that the calling thread may run on; 0 when the kernel does not report it. Makes the
// system call sched_getaffinity(2) directly, because glibc declares its function only with _GNU_SOURCE.
static inline int linux_scheduling_processors(void) {
    unsigned long set[8192 / (8 * sizeof(unsigned long))];
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof set, set);
    int count = 0;
    for (long word = 0; word < bytes / (long)sizeof *set; word++) {
        count += __builtin_popcountl(set[word]);
    }
    return count;
}

#endif
