// SPDX-License-Identifier: Apache-2.0

// Plain SQLite, with which the guest's spool is compared.
#pragma once
#include <stddef.h>

// An open file with the spool's own tables.
typedef struct plain_sqlite plain_sqlite;

// Opens a file that a spool has created and closed. NULL if it cannot be opened; `plain_sqlite_message` has the reason.
plain_sqlite *plain_sqlite_open(const char *path);

// Writes `count` operations as a spool does, with the same statements: one transaction that inserts all of them into
// `running` and does not wait for the disk, then one that deletes them, inserts an outcome for each into `waiting`, and
// waits for the disk. Both update the tally, and the log is checkpointed when it has grown by 4 MiB. Returns 0, or
// SQLite's error code.
int plain_sqlite_write(
    plain_sqlite *file, int count, const char *begun_at, const void *context, size_t context_length, const void *report,
    size_t report_length);

// Returns the message of the last error.
const char *plain_sqlite_message(plain_sqlite *file);

// Closes the file.
void plain_sqlite_close(plain_sqlite *file);
