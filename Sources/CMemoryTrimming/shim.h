// SPDX-License-Identifier: Apache-2.0

#ifndef C_MEMORY_TRIMMING_SHIM_H
#define C_MEMORY_TRIMMING_SHIM_H

#include <malloc.h>

// Releases to the kernel all pages that malloc holds unused, in all its arenas. Returns whether there were any.
static inline int memory_trim(void) {
    return malloc_trim(0);
}

#endif
