#ifndef C_LINUX_FILES_SHIM_H
#define C_LINUX_FILES_SHIM_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// statx(2), whose function in glibc can be seen only by who asks for all of GNU's, and whose struct no header gives without that.
// When a file was made: a copy of it was made later. Symbolic links are not followed. Returns 0, or what errno says; ENODATA where the
// file system does not say.
static inline int linux_files_birth(int directory, const char *name, int64_t *seconds, uint32_t *nanoseconds) {
    // struct statx is 256 bytes: stx_mask at 0, stx_btime (a 64-bit and a 32-bit number) at 80.
    unsigned char result[256] = {0};
    uint32_t mask;
    const uint32_t birth = 0x800;
    const int no_follow = 0x100;
    if (syscall(SYS_statx, directory, name, no_follow, birth, result) != 0) {
        return errno;
    }
    memcpy(&mask, result, sizeof mask);
    if ((mask & birth) == 0) {
        return ENODATA;
    }
    memcpy(seconds, result + 80, sizeof *seconds);
    memcpy(nanoseconds, result + 88, sizeof *nanoseconds);
    return 0;
}

// syncfs(2): writes all that waits for the file system of the descriptor. Returns 0, or what errno says.
static inline int linux_files_sync_volume(int descriptor) {
    return syscall(SYS_syncfs, descriptor) == 0 ? 0 : errno;
}

#endif
