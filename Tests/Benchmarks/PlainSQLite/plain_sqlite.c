// SPDX-License-Identifier: Apache-2.0

// The minimum of work for keeping operations and their outcomes in the spool's tables: statements that are prepared
// once, values that are bound without a copy, and as many operations in a transaction as requested.
#include "plain_sqlite.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Like the spool: SpoolFile.checkpointThreshold.
enum { LOG_STEP = 4 << 20, ID_LENGTH = 36 };

struct plain_sqlite {
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *read_tally, *save_tally, *insert_running, *delete_running, *insert_waiting;
    // The file's bytes in the log at the last checkpoint, and now.
    long long carried_over, log;
    sqlite3_int64 page_size;
    unsigned long long random, next;
    char message[256];
};

static int say(plain_sqlite *file, int code) {
    if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW)
        snprintf(file->message, sizeof file->message, "%s", sqlite3_errmsg(file->db));
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

static int prepare(plain_sqlite *file, sqlite3_stmt **statement, const char *sql) {
    return say(file, sqlite3_prepare_v3(file->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL));
}

// Runs a statement without a result, or with one row that is ignored.
static int run(plain_sqlite *file, sqlite3_stmt *statement) {
    int code = sqlite3_step(statement);
    // Only then the statement has ended.
    if (code == SQLITE_ROW) code = sqlite3_step(statement);
    say(file, code);
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int log_grew(void *context, sqlite3 *db, const char *name, int pages) {
    (void)db, (void)name;
    plain_sqlite *file = context;
    file->log = pages * (file->page_size + 24);
    return SQLITE_OK;
}

plain_sqlite *plain_sqlite_open(const char *path) {
    plain_sqlite *file = calloc(1, sizeof *file);
    if (!file) return NULL;
    file->random = 0x9e3779b97f4a7c15;
    int code = sqlite3_open_v2(path, &file->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) { say(file, code); return file; }
    sqlite3_stmt *size = NULL;
    if (sqlite3_exec(file->db, "PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 1048576; PRAGMA wal_autocheckpoint = 0",
                     NULL, NULL, NULL) == SQLITE_OK &&
        prepare(file, &size, "PRAGMA page_size") == SQLITE_OK && sqlite3_step(size) == SQLITE_ROW)
        file->page_size = sqlite3_column_int64(size, 0);
    sqlite3_finalize(size);
    sqlite3_wal_hook(file->db, log_grew, file);
    if (!file->page_size || prepare(file, &file->begin, "BEGIN IMMEDIATE") || prepare(file, &file->commit, "COMMIT") ||
        prepare(file, &file->read_tally, "SELECT * FROM tally WHERE id = 1") ||
        prepare(file, &file->save_tally,
                "UPDATE tally SET begun = begun + ?1, running = running + ?2, waiting = waiting + ?3, bytes = bytes + ?4 WHERE id = 1") ||
        prepare(file, &file->insert_running,
                "INSERT INTO running (message_id, context, begun_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING") ||
        prepare(file, &file->delete_running,
                "DELETE FROM running WHERE message_id = ?") ||
        prepare(file, &file->insert_waiting, "INSERT INTO waiting (message_id, phase, report) VALUES (?, ?, ?)"))
        say(file, sqlite3_errcode(file->db) ? sqlite3_errcode(file->db) : SQLITE_ERROR);
    return file;
}

const char *plain_sqlite_message(plain_sqlite *file) {
    return file ? (file->message[0] ? file->message : NULL) : "there is no memory";
}

// Creates a message id as random as a UUID, and the same one for the same number.
static void make_id(unsigned long long seed, char id[ID_LENGTH]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < ID_LENGTH; i++) {
        // Xorshift is enough for keys that only need to be spread.
        if (i % 16 == 0) seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        id[i] = i == 8 || i == 13 || i == 18 || i == 23 ? '-' : digits[seed >> (i % 16 * 4) & 15];
    }
}

static int tally(plain_sqlite *file, int begun, int running, int waiting, long long bytes) {
    sqlite3_bind_int(file->save_tally, 1, begun);
    sqlite3_bind_int(file->save_tally, 2, running);
    sqlite3_bind_int(file->save_tally, 3, waiting);
    sqlite3_bind_int64(file->save_tally, 4, bytes);
    return run(file, file->save_tally);
}

int plain_sqlite_write(
    plain_sqlite *file, int count, const char *begun_at, const void *context, size_t context_length, const void *report,
    size_t report_length) {
    char id[ID_LENGTH];
    unsigned long long first = file->next;
    file->next += (unsigned long long)count;
    int code;

    if ((code = say(file, sqlite3_exec(file->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL)))) return code;
    if ((code = run(file, file->begin)) || (code = run(file, file->read_tally))) return code;
    for (int i = 0; i < count; i++) {
        make_id(file->random * (first + (unsigned long long)i + 1), id);
        sqlite3_bind_text(file->insert_running, 1, id, ID_LENGTH, SQLITE_STATIC);
        sqlite3_bind_blob(file->insert_running, 2, context, (int)context_length, SQLITE_STATIC);
        sqlite3_bind_text(file->insert_running, 3, begun_at, -1, SQLITE_STATIC);
        if ((code = run(file, file->insert_running))) return code;
    }
    if ((code = tally(file, count, count, 0, count * (long long)context_length)) || (code = run(file, file->commit))) return code;

    if ((code = say(file, sqlite3_exec(file->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL)))) return code;
    if ((code = run(file, file->begin)) || (code = run(file, file->read_tally))) return code;
    for (int i = 0; i < count; i++) {
        make_id(file->random * (first + (unsigned long long)i + 1), id);
        sqlite3_bind_text(file->delete_running, 1, id, ID_LENGTH, SQLITE_STATIC);
        if ((code = run(file, file->delete_running))) return code;
        sqlite3_bind_text(file->insert_waiting, 1, id, ID_LENGTH, SQLITE_STATIC);
        sqlite3_bind_text(file->insert_waiting, 2, "end", 3, SQLITE_STATIC);
        sqlite3_bind_blob(file->insert_waiting, 3, report, (int)report_length, SQLITE_STATIC);
        if ((code = run(file, file->insert_waiting))) return code;
    }
    if ((code = tally(file, 0, -count, count, count * ((long long)report_length - (long long)context_length))) ||
        (code = run(file, file->commit)))
        return code;

    if (file->log < file->carried_over) file->carried_over = 0;
    if (file->log - file->carried_over < LOG_STEP) return SQLITE_OK;
    file->carried_over = file->log;
    return say(file, sqlite3_wal_checkpoint_v2(file->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
}

void plain_sqlite_close(plain_sqlite *file) {
    if (!file) return;
    sqlite3_stmt *statements[] = {file->begin,          file->commit,         file->read_tally,    file->save_tally,
                                  file->insert_running, file->delete_running, file->insert_waiting};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) sqlite3_finalize(statements[i]);
    sqlite3_close(file->db);
    free(file);
}
