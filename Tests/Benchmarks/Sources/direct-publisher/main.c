// SPDX-License-Identifier: Apache-2.0

// The upper limit: a publisher in C with librabbitmq, with as many unconfirmed messages as the window allows, and no
// other work.
//
//   direct-publisher HOST PORT USER PASSWORD QUEUE TYPE WINDOW SECONDS BYTES
//
// Declares the durable queue of that type (classic or quorum) if it does not exist, empties it, and publishes
// persistent, mandatory messages to it. With 0 seconds it only empties the queue. It prints one line: messages,
// seconds, microseconds of its own processor time, and p50, p99 and p99.9 of the microseconds from a publish to its
// confirm.
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

static void check(int status, const char *what) {
    if (status < 0) {
        fprintf(stderr, "direct-publisher: %s: %s\n", what, amqp_error_string2(status));
        exit(1);
    }
}

static void check_reply(amqp_rpc_reply_t reply, const char *what) {
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        fprintf(stderr, "direct-publisher: %s failed (%d)\n", what, reply.reply_type);
        exit(1);
    }
}

// The maximum distance between the oldest and the newest unconfirmed message. A broker confirms in any order.
enum { RING = 1 << 16 };
// The number of published messages, the first tag that is not confirmed, and the number of unconfirmed ones; tags count
// from 1.
static uint64_t published, oldest = 1, unconfirmed;
// The time at which a message was published; 0 once it is confirmed.
static uint64_t sent_at[RING];
static struct latencies latencies;

static void note(uint64_t tag, uint64_t time) {
    uint64_t *sent = &sent_at[tag % RING];
    if (*sent != 0) {
        latencies_add(&latencies, time - *sent);
        *sent = 0;
        unconfirmed--;
    }
}

// Takes one frame, and waits for it this long (NULL: without limit). Returns 0 if there was none.
static int take_frame(amqp_connection_state_t connection, struct timeval *patience) {
    amqp_frame_t frame;
    memset(&frame, 0, sizeof frame);
    int status = amqp_simple_wait_frame_noblock(connection, &frame, patience);
    if (status == AMQP_STATUS_TIMEOUT) {
        return 0;
    }
    check(status, "waiting for a confirm");
    if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD) {
        fprintf(stderr, "direct-publisher: the broker answered something else than a confirm\n");
        exit(1);
    }
    amqp_basic_ack_t *ack = frame.payload.method.decoded;
    uint64_t time = now_microseconds();
    for (uint64_t tag = ack->multiple ? oldest : ack->delivery_tag; tag <= ack->delivery_tag; tag++) {
        note(tag, time);
    }
    while (oldest <= published && sent_at[oldest % RING] == 0) {
        oldest++;
    }
    return 1;
}

int main(int count, char **arguments) {
    if (count != 10) {
        fprintf(stderr, "usage: direct-publisher HOST PORT USER PASSWORD QUEUE TYPE WINDOW SECONDS BYTES\n");
        return 64;
    }
    amqp_bytes_t queue = amqp_cstring_bytes(arguments[5]);
    uint64_t window = strtoull(arguments[7], NULL, 10);
    double seconds = strtod(arguments[8], NULL);
    size_t size = strtoull(arguments[9], NULL, 10);
    char *body = malloc(size);
    if (window == 0 || window > RING / 2 || body == NULL) {
        return 64;
    }
    memset(body, 'x', size);

    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    check(amqp_socket_open(socket, arguments[1], atoi(arguments[2])), "connecting");
    check_reply(
        amqp_login(connection, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, arguments[3], arguments[4]), "logging in");
    amqp_channel_open(connection, 1);
    check_reply(amqp_get_rpc_reply(connection), "opening a channel");
    amqp_table_entry_t type = {
        .key = amqp_cstring_bytes("x-queue-type"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(arguments[6])}};
    amqp_queue_declare(connection, 1, queue, 0, 1, 0, 0, (amqp_table_t){.num_entries = 1, .entries = &type});
    check_reply(amqp_get_rpc_reply(connection), "declaring the queue");
    amqp_queue_purge(connection, 1, queue);
    check_reply(amqp_get_rpc_reply(connection), "emptying the queue");
    if (seconds == 0) {
        return 0;
    }
    amqp_confirm_select(connection, 1);
    check_reply(amqp_get_rpc_reply(connection), "asking for confirms");

    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG,
        .delivery_mode = 2,
        .content_type = amqp_cstring_bytes("application/json")};
    struct timeval at_once = {0, 0};
    uint64_t processor = processor_microseconds(), start = now_microseconds();
    uint64_t end = start + (uint64_t)(seconds * 1e6), time = start;
    while (time < end) {
        while (unconfirmed < window && published + 1 - oldest < RING) {
            sent_at[++published % RING] = now_microseconds();
            unconfirmed++;
            check(
                amqp_basic_publish(
                    connection, 1, amqp_empty_bytes, queue, 1, 0, &properties, (amqp_bytes_t){.len = size, .bytes = body}),
                "publishing");
        }
        take_frame(connection, NULL);
        while (take_frame(connection, &at_once)) {
        }
        amqp_maybe_release_buffers(connection);
        time = now_microseconds();
    }
    while (unconfirmed > 0) {
        take_frame(connection, NULL);
    }
    report(published, now_microseconds() - start, processor_microseconds() - processor, &latencies);
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection);
    return 0;
}
