// SPDX-License-Identifier: Apache-2.0

// Many guests in one thread: each connects with mutual TLS, asks once, and is quiet once it has an answer.
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
    // The session of its last connection, if that may be resumed.
    SSL_SESSION *session;
    // When the guest began to want a connection, when its attempt times out, and when its next one is due; in
    // microseconds.
    uint64_t began, deadline, due;
    // When the server's kernel accepted the connection, and when the answer arrived; the latter is 0 until it does.
    uint64_t accepted, answered;
    // The number of failures in a row, for the backoff.
    unsigned failures;
    char answer[256];
    size_t answer_length;
};

// The events since the last command.
struct counts {
    uint64_t attempts, refused, broken, timed_out, resumed, tickets, lost;
};

// The address of the server, and the behaviour of guests.
struct settings {
    int port;
    // The number of certificates: guest number N has the certificate guest-bench-(N mod identities).
    int identities;
    const char *directory;
    // Whether a guest offers its last session again.
    bool resumes;
    // Whether a guest that loses its connection connects again.
    bool returns;
};

extern struct settings settings;
extern struct counts counts;
// The number of guests in a handshake or waiting for an answer, and the number of those that have it.
extern int under_way, served;

// Reads the certificates; ends the program if one is missing.
void guests_prepare(void);
// Begins an attempt.
void guest_connect(struct guest *guest);
// Continues with the bytes that have arrived for it.
void guest_continue(struct guest *guest);
// Makes a served guest ask again.
void guest_ask(struct guest *guest);
// Gives up an attempt that has taken too long: another one follows after the backoff.
void guest_give_up(struct guest *guest);
// Sends close_notify and closes.
void guest_leave(struct guest *guest);

extern int poller;
_Noreturn void fail(const char *what);
