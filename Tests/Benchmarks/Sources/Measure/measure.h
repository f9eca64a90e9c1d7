// SPDX-License-Identifier: Apache-2.0

// The measurements of both load generators, and the line that they print.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static inline uint64_t now_microseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static inline uint64_t processor_microseconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// All latencies of a run, in microseconds: exact, while a histogram would round.
struct latencies {
    uint32_t *values;
    size_t count, capacity;
};

static inline void latencies_add(struct latencies *all, uint64_t microseconds) {
    if (all->count == all->capacity) {
        all->capacity = all->capacity ? 2 * all->capacity : 1 << 16;
        all->values = realloc(all->values, all->capacity * sizeof *all->values);
        if (all->values == NULL) {
            abort();
        }
    }
    all->values[all->count++] = microseconds > UINT32_MAX ? UINT32_MAX : (uint32_t)microseconds;
}

static int compare_latencies(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static inline void report(uint64_t messages, uint64_t microseconds, uint64_t processor, struct latencies *all) {
    qsort(all->values, all->count, sizeof *all->values, compare_latencies);
    size_t last = all->count - 1;
    printf(
        "messages=%llu seconds=%.6f processor_us=%llu p50_us=%u p99_us=%u p999_us=%u\n", (unsigned long long)messages,
        (double)microseconds / 1e6, (unsigned long long)processor, all->values[last / 2],
        all->values[(size_t)((double)last * 0.99)], all->values[(size_t)((double)last * 0.999)]);
}
