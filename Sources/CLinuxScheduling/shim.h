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
    // Of what is scheduled fairly, the slice in nanoseconds; kernels before 6.12 take no notice of it.
    uint64_t runtime;
    uint64_t deadline;
    uint64_t period;
};

// Has the calling thread give way: so much nicer than it is, and with this slice, under the policy that it has (SCHED_OTHER,
// SCHED_BATCH or SCHED_IDLE). Returns 0, or what errno says.
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

// How many processors the calling thread may run on; 0 when the kernel does not say. sched_getaffinity(2), whose function in
// glibc can be seen only by who asks for all of GNU's.
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
