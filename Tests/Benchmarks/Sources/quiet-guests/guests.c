// SPDX-License-Identifier: Apache-2.0

#include "guests.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

// The values of the guest agent: the connect timeout, and the backoff between attempts (Docs/reliability.md).
enum { CONNECT_TIMEOUT = 10000000, MINIMUM_BACKOFF = 200000, MAXIMUM_BACKOFF = 30000000 };

struct settings settings;
struct counts counts;
int under_way, served, poller;
// One for each certificate: connections share it, so that it is not created for each of them.
static SSL_CTX **contexts;
static int guest_index;

_Noreturn void fail(const char *what) {
    fprintf(stderr, "quiet-guests: %s (%s)\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

// In TLS 1.3 a ticket arrives after the handshake, so it is counted and stored when it does.
static int take_ticket(SSL *ssl, SSL_SESSION *session) {
    struct guest *guest = SSL_get_ex_data(ssl, guest_index);
    counts.tickets++;
    if (!settings.resumes) {
        return 0;
    }
    SSL_SESSION_free(guest->session);
    guest->session = session;
    return 1;
}

void guests_prepare(void) {
    char path[4096];
    guest_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    contexts = calloc((size_t)settings.identities, sizeof *contexts);
    for (int number = 0; number < settings.identities; number++) {
        SSL_CTX *context = contexts[number] = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
        // The server is measured. The guests check its proof of its key, but not its chain: so they need less time than
        // the server, and one processor for them is enough for one of the server.
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context, take_ticket);
        snprintf(path, sizeof path, "%s/guest-bench-%d.pem", settings.directory, number);
        if (SSL_CTX_use_certificate_chain_file(context, path) != 1) {
            fail("a certificate cannot be read");
        }
        snprintf(path, sizeof path, "%s/guest-bench-%d.key", settings.directory, number);
        if (SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) != 1) {
            fail("a key cannot be read");
        }
    }
}

static void await(struct guest *guest, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = guest};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, guest->descriptor, &event) != 0) {
        fail("cannot wait for a connection");
    }
}

static void drop(struct guest *guest) {
    if (guest->state == SERVED) {
        served--;
    } else if (guest->state >= CONNECTING) {
        under_way--;
    }
    SSL_free(guest->ssl);
    guest->ssl = NULL;
    close(guest->descriptor);
    guest->descriptor = -1;
    guest->state = ABSENT;
}

// The backoff of the agent: random up to a bound that doubles, and at least half of the minimum.
static void pause_before_next(struct guest *guest) {
    uint64_t bound = MAXIMUM_BACKOFF;
    if (guest->failures < 20 && (uint64_t)MINIMUM_BACKOFF << guest->failures < bound) {
        bound = (uint64_t)MINIMUM_BACKOFF << guest->failures;
    }
    guest->failures++;
    uint64_t pause = (uint64_t)((double)bound * ((double)rand() / RAND_MAX));
    if (pause < MINIMUM_BACKOFF / 2) {
        pause = MINIMUM_BACKOFF / 2;
    }
    guest->due = now_microseconds() + pause;
    guest->state = WAITING;
}

static void failed(struct guest *guest, uint64_t *count) {
    ++*count;
    ERR_clear_error();
    drop(guest);
    pause_before_next(guest);
}

void guest_give_up(struct guest *guest) { failed(guest, &counts.timed_out); }

static void lose(struct guest *guest) {
    counts.lost++;
    ERR_clear_error();
    drop(guest);
    if (settings.returns) {
        guest->began = now_microseconds();
        guest->failures = 0;
        pause_before_next(guest);
    }
}

void guest_connect(struct guest *guest) {
    counts.attempts++;
    guest->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (guest->descriptor < 0) {
        fail("no more descriptors: raise the limit (ulimit -n)");
    }
    // Each guest has an address of its own, as in production: the conductor's limits for an address do not stop them.
    uint32_t own = 0x7f010000u + (uint32_t)guest->number + 1;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(own)};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)settings.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    setsockopt(guest->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(guest->descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(guest->descriptor, (struct sockaddr *)&from, sizeof from) != 0) {
        fail("cannot have an address of 127.0.0.0/8");
    }
    guest->state = CONNECTING;
    guest->deadline = now_microseconds() + CONNECT_TIMEOUT;
    under_way++;
    if (connect(guest->descriptor, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
        if (errno != ECONNREFUSED) {
            fail("cannot connect");
        }
        failed(guest, &counts.refused);
        return;
    }
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = guest};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, guest->descriptor, &event) != 0) {
        fail("cannot wait for a connection");
    }
}

// Returns whether it is connected.
static bool finish_connecting(struct guest *guest) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(guest->descriptor, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
        failed(guest, error == ECONNREFUSED ? &counts.refused : &counts.broken);
        return false;
    }
    guest->accepted = now_microseconds();
    guest->ssl = SSL_new(contexts[guest->number % settings.identities]);
    SSL_set_ex_data(guest->ssl, guest_index, guest);
    SSL_set_fd(guest->ssl, guest->descriptor);
    static const unsigned char protocol[] = "\x0f" "conductor-rpc/1";
    SSL_set_alpn_protos(guest->ssl, protocol, sizeof protocol - 1);
    if (settings.resumes && guest->session != NULL) {
        SSL_set_session(guest->ssl, guest->session);
    }
    SSL_set_connect_state(guest->ssl);
    guest->state = HANDSHAKING;
    return true;
}

// A few bytes: on a quiet or new connection the socket buffer has space for them.
static void send_request(struct guest *guest) {
    static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
    guest->state = ASKING;
    guest->answer_length = 0;
    if (SSL_write(guest->ssl, request, sizeof request - 1) != sizeof request - 1) {
        failed(guest, &counts.broken);
        return;
    }
    await(guest, EPOLLIN);
}

void guest_ask(struct guest *guest) {
    if (guest->state == SERVED) {
        served--;
        under_way++;
        guest->began = guest->accepted = now_microseconds();
        guest->deadline = guest->began + CONNECT_TIMEOUT;
        send_request(guest);
    }
}

static void shake_hands(struct guest *guest) {
    int result = SSL_do_handshake(guest->ssl);
    if (result == 1) {
        counts.resumed += SSL_session_reused(guest->ssl) == 1;
        send_request(guest);
        return;
    }
    switch (SSL_get_error(guest->ssl, result)) {
    case SSL_ERROR_WANT_READ: await(guest, EPOLLIN); break;
    case SSL_ERROR_WANT_WRITE: await(guest, EPOLLOUT); break;
    default: failed(guest, &counts.broken);
    }
}

static void take_answer(struct guest *guest) {
    size_t room = sizeof guest->answer - guest->answer_length;
    int count = SSL_read(guest->ssl, guest->answer + guest->answer_length, (int)room);
    if (count <= 0) {
        if (SSL_get_error(guest->ssl, count) != SSL_ERROR_WANT_READ) {
            failed(guest, &counts.broken);
        }
        return;
    }
    guest->answer_length += (size_t)count;
    if (memchr(guest->answer, '\n', guest->answer_length) == NULL) {
        if (guest->answer_length == sizeof guest->answer) {
            failed(guest, &counts.broken);
        }
        return;
    }
    if (memmem(guest->answer, guest->answer_length, "\"result\"", 8) == NULL) {
        fprintf(stderr, "quiet-guests: a ping was answered %.*s", (int)guest->answer_length, guest->answer);
        exit(1);
    }
    guest->state = SERVED;
    guest->failures = 0;
    under_way--;
    served++;
    guest->answered = now_microseconds();
}

void guest_continue(struct guest *guest) {
    char byte;
    switch (guest->state) {
    case CONNECTING:
        if (finish_connecting(guest)) {
            shake_hands(guest);
        }
        break;
    case HANDSHAKING:
        // No answer arrives before the question.
        shake_hands(guest);
        break;
    case ASKING: take_answer(guest); break;
    case SERVED: {
        int count = SSL_read(guest->ssl, &byte, 1);
        if (count > 0 || SSL_get_error(guest->ssl, count) != SSL_ERROR_WANT_READ) {
            lose(guest);
        }
        break;
    }
    case ABSENT:
    case WAITING: break;
    }
}

void guest_leave(struct guest *guest) {
    SSL_shutdown(guest->ssl);
    drop(guest);
}
