// SPDX-License-Identifier: Apache-2.0

#ifndef C_LINUX_FILES_SHIM_H
#define C_LINUX_FILES_SHIM_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// Gets the time at which a file was created, by statx(2). A copy of the file has a later creation time. glibc declares
// statx and its struct only under _GNU_SOURCE, so this function makes the system call itself. It does not follow
// symbolic links. Returns 0 or the errno; ENODATA where the file system does not report the time.
static inline int linux_files_birth(int directory, const char *name, int64_t *seconds, uint32_t *nanoseconds) {
    // struct statx is 256 bytes: stx_mask is at 0, stx_btime (a 64-bit and a 32-bit number) is at 80.
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

// Writes all pending data of the descriptor's file system to the disk, by syncfs(2). Returns 0 or the errno.
static inline int linux_files_sync_volume(int descriptor) {
    return syscall(SYS_syncfs, descriptor) == 0 ? 0 : errno;
}

#endif
