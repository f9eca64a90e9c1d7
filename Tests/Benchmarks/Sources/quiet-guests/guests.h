// SPDX-License-Identifier: Apache-2.0

// Many guests in one thread: each connects with mutual TLS, asks once, and is quiet when it is answered.
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum state {
    // No connection, and none is wanted.
    ABSENT,
    // Its next attempt is due at `due`.
    WAITING,
    CONNECTING,
    HANDSHAKING,
    ASKING,
    // It has its answer, and is quiet.
    SERVED,
};

struct guest {
    int number, descriptor;
    enum state state;
    SSL *ssl;
    // Of its last connection, where that may be resumed.
    SSL_SESSION *session;
    // When it began to want a connection, when its attempt is given up, and when its next one is due; in microseconds.
    uint64_t began, deadline, due;
    // When the kernel at the other end took the connection, and when the answer came; the latter is 0 until it does.
    uint64_t accepted, answered;
    // In a row, for the pause before the next one.
    unsigned failures;
    char answer[256];
    size_t answer_length;
};

// What has happened since the last command.
struct counts {
    uint64_t attempts, refused, broken, timed_out, resumed, tickets, lost;
};

// Where the server is, and how guests go to it.
struct settings {
    int port;
    // Of certificates: guest number N has the certificate guest-bench-(N mod identities).
    int identities;
    const char *directory;
    // Whether a guest offers its last session again.
    bool resumes;
    // Whether a guest that loses its connection comes back.
    bool returns;
};

extern struct settings settings;
extern struct counts counts;
// How many are in a handshake or wait for their answer, and how many have it.
extern int under_way, served;

// Reads the certificates; ends the program where one is missing.
void guests_prepare(void);
// Begins an attempt.
void guest_connect(struct guest *guest);
// Goes on with what the network has for it.
void guest_continue(struct guest *guest);
// One that is served asks again.
void guest_ask(struct guest *guest);
// The attempt has taken too long: another one follows after a pause.
void guest_give_up(struct guest *guest);
// Says close_notify and closes.
void guest_leave(struct guest *guest);

extern int poller;
_Noreturn void fail(const char *what);
