#ifndef C_MEMORY_TRIMMING_SHIM_H
#define C_MEMORY_TRIMMING_SHIM_H

#include <malloc.h>

// Gives all pages back to the kernel that malloc holds and nothing uses, of all its arenas. Returns whether there were any.
static inline int memory_trim(void) {
    return malloc_trim(0);
}

#endif
