// SPDX-License-Identifier: Apache-2.0

// Guests in C: each keeps one mutual TLS connection to the conductor and a window of reports in flight.
//
//   guest-load HOST PORT TLS-DIRECTORY CONNECTIONS WINDOW SECONDS
//
// Guest number N has the certificate guest-bench-N.pem of the directory. It prints one line, like direct-publisher; a
// report that is not answered `published` ends it with status 1. One thread runs all guests, so it uses as little of
// the machine as possible.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

enum { RING = 8192, LONGEST_LINE = 1024, INPUT = 1 << 16 };

struct guest {
    int number, descriptor;
    SSL *ssl;
    // Ids count from 1; the ring has the time at which each was sent.
    uint64_t sent, answered, *sent_at;
    char *output;
    size_t output_length, output_done;
    char input[INPUT];
    size_t input_length;
    bool wants_write;
};

static uint64_t window, run_mark;
static struct latencies latencies;
static int poller;

static void fail(const char *what) {
    fprintf(stderr, "guest-load: %s (%s)\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void connect_guest(struct guest *guest, const char *host, int port, const char *directory) {
    char path[4096];
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    snprintf(path, sizeof path, "%s/ca.pem", directory);
    if (SSL_CTX_load_verify_locations(context, path, NULL) != 1) {
        fail("the authority cannot be read");
    }
    snprintf(path, sizeof path, "%s/guest-bench-%d.pem", directory, guest->number);
    if (SSL_CTX_use_certificate_chain_file(context, path) != 1) {
        fail("a certificate cannot be read");
    }
    snprintf(path, sizeof path, "%s/guest-bench-%d.key", directory, guest->number);
    if (SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) != 1) {
        fail("a key cannot be read");
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    guest->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(guest->descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        fail("cannot connect");
    }
    int on = 1;
    setsockopt(guest->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    guest->ssl = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_fd(guest->ssl, guest->descriptor);
    static const unsigned char protocol[] = "\x0f" "conductor-rpc/1";
    SSL_set_alpn_protos(guest->ssl, protocol, sizeof protocol - 1);
    if (SSL_set1_host(guest->ssl, "localhost") != 1 || SSL_connect(guest->ssl) != 1) {
        fail("the handshake failed");
    }
    fcntl(guest->descriptor, F_SETFL, O_NONBLOCK);
    guest->sent_at = calloc(RING, sizeof *guest->sent_at);
    guest->output = malloc(window * LONGEST_LINE);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = guest};
    if (guest->sent_at == NULL || guest->output == NULL ||
        epoll_ctl(poller, EPOLL_CTL_ADD, guest->descriptor, &event) != 0) {
        fail("out of memory");
    }
}

static void await_writing(struct guest *guest, bool wants) {
    if (guest->wants_write == wants) {
        return;
    }
    guest->wants_write = wants;
    struct epoll_event event = {.events = EPOLLIN | (wants ? EPOLLOUT : 0), .data.ptr = guest};
    epoll_ctl(poller, EPOLL_CTL_MOD, guest->descriptor, &event);
}

static void write_output(struct guest *guest) {
    while (guest->output_done < guest->output_length) {
        int count = SSL_write(
            guest->ssl, guest->output + guest->output_done, (int)(guest->output_length - guest->output_done));
        if (count <= 0) {
            if (SSL_get_error(guest->ssl, count) != SSL_ERROR_WANT_WRITE) {
                fail("the connection broke while writing");
            }
            await_writing(guest, true);
            return;
        }
        guest->output_done += (size_t)count;
    }
    await_writing(guest, false);
    guest->output_length = guest->output_done = 0;
}

// Sends as many reports as the window allows, in one write.
static void fill(struct guest *guest) {
    if (guest->output_length > 0) {
        return;
    }
    uint64_t time = now_microseconds();
    while (guest->sent - guest->answered < window) {
        uint64_t id = ++guest->sent;
        guest->sent_at[id % RING] = time;
        guest->output_length += (size_t)snprintf(
            guest->output + guest->output_length, LONGEST_LINE,
            "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"notify_end\",\"params\":{\"context\":{\"operation\":\"database_create\","
            "\"request_id\":\"req-7c6d2a52-0d54-4c8e-9f57-%012llx\",\"tenant_id\":\"1bd1a8a1d0e74f5d9f0a8f0e9f1f3b6c\","
            "\"user_id\":\"6f0d6d0f2c5b4a7e8d9c0b1a2f3e4d5c\",\"client_ip\":\"192.0.2.7\",\"payload\":{\"instance_id\":\"bench-%d\","
            "\"dbname\":\"shop\"}},\"message_id\":\"%08llx-%04x-4000-8000-%012llx\",\"timestamp\":\"2026-01-01 12:00:00.000000\"}}\n",
            (unsigned long long)id, (unsigned long long)id, guest->number, (unsigned long long)run_mark, guest->number,
            (unsigned long long)id);
    }
    write_output(guest);
}

static void take_answer(struct guest *guest, const char *line, size_t length, uint64_t time) {
    const char *found = memmem(line, length, "\"id\":", 5);
    if (found == NULL || memmem(line, length, "\"published\"", 11) == NULL) {
        fprintf(stderr, "guest-load: a report was answered %.*s\n", (int)length, line);
        exit(1);
    }
    guest->answered++;
    latencies_add(&latencies, time - guest->sent_at[strtoull(found + 5, NULL, 10) % RING]);
}

static void read_answers(struct guest *guest) {
    for (;;) {
        int count = SSL_read(guest->ssl, guest->input + guest->input_length, (int)(INPUT - guest->input_length));
        if (count <= 0) {
            if (SSL_get_error(guest->ssl, count) != SSL_ERROR_WANT_READ) {
                fail("the connection broke while reading");
            }
            return;
        }
        uint64_t time = now_microseconds();
        guest->input_length += (size_t)count;
        char *start = guest->input, *end = guest->input + guest->input_length, *line_end;
        while ((line_end = memchr(start, '\n', (size_t)(end - start))) != NULL) {
            take_answer(guest, start, (size_t)(line_end - start), time);
            start = line_end + 1;
        }
        guest->input_length = (size_t)(end - start);
        memmove(guest->input, start, guest->input_length);
    }
}

int main(int count, char **arguments) {
    if (count != 7) {
        fprintf(stderr, "usage: guest-load HOST PORT TLS-DIRECTORY CONNECTIONS WINDOW SECONDS\n");
        return 64;
    }
    int connections = atoi(arguments[4]);
    window = strtoull(arguments[5], NULL, 10);
    double seconds = strtod(arguments[6], NULL);
    if (connections < 1 || window < 1 || window > RING / 2 || seconds <= 0) {
        return 64;
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    uint32_t mark;
    RAND_bytes((unsigned char *)&mark, sizeof mark);
    run_mark = mark;
    struct guest *guests = calloc((size_t)connections, sizeof *guests);
    for (int number = 0; number < connections; number++) {
        guests[number].number = number;
        connect_guest(&guests[number], arguments[1], atoi(arguments[2]), arguments[3]);
    }
    printf("connected\n");
    fflush(stdout);
    // The program that measures the processor time of others reads it now, and then sends a line.
    if (getchar() == EOF) {
        return 0;
    }
    uint64_t processor = processor_microseconds(), start = now_microseconds();
    uint64_t end = start + (uint64_t)(seconds * 1e6), time = start, left;
    for (int number = 0; number < connections; number++) {
        fill(&guests[number]);
    }
    do {
        struct epoll_event events[256];
        int ready = epoll_wait(poller, events, 256, 20000);
        if (ready == 0) {
            fail("no answer came for 20 seconds");
        }
        for (int index = 0; index < ready; index++) {
            struct guest *guest = events[index].data.ptr;
            if (events[index].events & EPOLLOUT) {
                write_output(guest);
            }
            read_answers(guest);
            if (time < end) {
                fill(guest);
            }
        }
        time = now_microseconds();
        left = 0;
        for (int number = 0; number < connections; number++) {
            left += guests[number].sent - guests[number].answered;
        }
    } while (time < end || left > 0);
    uint64_t messages = 0;
    for (int number = 0; number < connections; number++) {
        messages += guests[number].answered;
    }
    report(messages, now_microseconds() - start, processor_microseconds() - processor, &latencies);
    return 0;
}
