// SPDX-License-Identifier: Apache-2.0

// The limit of OpenSSL alone: a server that performs handshakes and answers each line, and does nothing else.
//
//   plain-server TLS-DIRECTORY THREADS TICKETS
//
// TLS 1.3 and mutual authentication with the conductor's own certificate, on a port of 127.0.0.1 that it prints. With
// TICKETS above 0 guests may resume their sessions, which the conductor does not allow. It ends with its standard
// input.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    int descriptor;
    SSL *ssl;
};

static SSL_CTX *context;
static int listener;

static void fail(const char *what) {
    fprintf(stderr, "plain-server: %s (%s)\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

static int choose_protocol(
    SSL *ssl, const unsigned char **chosen, unsigned char *length, const unsigned char *offered, unsigned offered_length,
    void *argument) {
    (void)ssl, (void)argument;
    static const unsigned char protocol[] = "\x0f" "conductor-rpc/1";
    bool found = SSL_select_next_proto(
                     (unsigned char **)chosen, length, protocol, sizeof protocol - 1, offered, offered_length) ==
                 OPENSSL_NPN_NEGOTIATED;
    return found ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void prepare(const char *directory, int tickets) {
    char path[4096];
    context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384");
    // Without the second mode it would search the authorities for its own chain in each handshake; the conductor does
    // not.
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"plain", 5);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, (size_t)tickets);
    if (tickets == 0) {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    }
    snprintf(path, sizeof path, "%s/ca.pem", directory);
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);
    if (names == NULL || SSL_CTX_load_verify_locations(context, path, NULL) != 1) {
        fail("the authority cannot be read");
    }
    SSL_CTX_set_client_CA_list(context, names);
    snprintf(path, sizeof path, "%s/conductor.pem", directory);
    if (SSL_CTX_use_certificate_chain_file(context, path) != 1) {
        fail("the certificate cannot be read");
    }
    snprintf(path, sizeof path, "%s/conductor.key", directory);
    if (SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) != 1) {
        fail("the key cannot be read");
    }
}

static int listen_anywhere(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    // With a queue as long as the kernel allows.
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 65535) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        fail("cannot listen");
    }
    return ntohs(address.sin_port);
}

static void end(struct connection *connection) {
    ERR_clear_error();
    SSL_free(connection->ssl);
    close(connection->descriptor);
    free(connection);
}

// Accepts one connection, so that other threads get their share.
static void take_connection(int poller) {
    int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (descriptor < 0) {
        if (errno != EAGAIN && errno != ECONNABORTED) {
            fail("cannot take a connection");
        }
        return;
    }
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *connection = malloc(sizeof *connection);
    SSL *ssl = SSL_new(context);
    if (connection == NULL || ssl == NULL) {
        fail("out of memory");
    }
    *connection = (struct connection){.descriptor = descriptor, .ssl = ssl};
    SSL_set_fd(ssl, descriptor);
    SSL_set_accept_state(ssl);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event) != 0) {
        fail("cannot wait for a connection");
    }
}

// The handshake continues with the first read. Flights and answers are short: the socket buffer has space for them.
static void serve(struct connection *connection) {
    static const char answer[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"version\":\"0\"}}\n";
    char line[4096];
    int count;
    while ((count = SSL_read(connection->ssl, line, sizeof line)) > 0) {
        if (memchr(line, '\n', (size_t)count) != NULL && SSL_write(connection->ssl, answer, sizeof answer - 1) <= 0) {
            end(connection);
            return;
        }
    }
    if (SSL_get_error(connection->ssl, count) != SSL_ERROR_WANT_READ) {
        end(connection);
    }
}

static void *run(void *argument) {
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = NULL};
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) != 0) {
        fail("cannot wait for connections");
    }
    for (;;) {
        struct epoll_event events[64];
        int ready = epoll_wait(poller, events, 64, -1);
        for (int index = 0; index < ready; index++) {
            if (events[index].data.ptr == NULL) {
                take_connection(poller);
            } else {
                serve(events[index].data.ptr);
            }
        }
    }
    return argument;
}

int main(int count, char **arguments) {
    if (count != 4 || atoi(arguments[2]) < 1 || atoi(arguments[3]) < 0) {
        fprintf(stderr, "usage: plain-server TLS-DIRECTORY THREADS TICKETS\n");
        return 64;
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    prepare(arguments[1], atoi(arguments[3]));
    int port = listen_anywhere();
    for (int thread = 0; thread < atoi(arguments[2]); thread++) {
        pthread_t created;
        if (pthread_create(&created, NULL, run, NULL) != 0) {
            fail("cannot start a thread");
        }
    }
    printf("port=%d\n", port);
    fflush(stdout);
    while (getchar() != EOF) {
    }
    return 0;
}
