// SPDX-License-Identifier: Apache-2.0

// Guests that connect, ask once, and are quiet: measures the cost of a connection, and the time of reconnecting to a
// new conductor.
//
//   quiet-guests PORT TLS-DIRECTORY IDENTITIES
//
// Guest number N has the address 127.1.0.0 + N + 1 and the certificate guest-bench-(N mod IDENTITIES).pem of the
// directory. Each line on standard input is a command, and is answered by a line on standard output; between commands
// the program sleeps.
//
//   connect N UNDER-WAY SECONDS   serves N guests, with this many attempts in progress at a time (0: all at once)
//   ping SECONDS                  lets each served guest ask once more
//   leave N                       closes the connections of all but the first N guests
//   check                         counts the guests that are still connected
//   lose SECONDS                  waits until the server has closed all connections
//   return SECONDS                the same, while each guest reconnects as the guest agent does, until all are served
//   resume on|off                 whether guests keep their sessions, and offer them when they connect
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#include "guests.h"
#include "measure.h"

// The interval of the checks for due attempts, in microseconds; a longer wait than LATE is counted as late.
enum { MOST_GUESTS = 100000, LOOK = 5000, LATE = 1000000 };

static struct guest *guests;
// For each guest served since the command began: its wait since it wanted that, and since there was a server.
static struct latencies waits, waits_since_up;

static void begin_command(void) {
    memset(&counts, 0, sizeof counts);
    for (int number = 0; number < MOST_GUESTS; number++) {
        guests[number].answered = 0;
    }
}

// Returns the time since which there is a server: when the first successful connection was accepted. A server that is
// being killed accepts connections until its end, because the kernel closes its newest descriptors first.
static uint64_t take_waits(void) {
    uint64_t up = UINT64_MAX;
    waits.count = waits_since_up.count = 0;
    for (int number = 0; number < MOST_GUESTS; number++) {
        if (guests[number].answered != 0 && guests[number].accepted < up) {
            up = guests[number].accepted;
        }
    }
    for (int number = 0; number < MOST_GUESTS; number++) {
        struct guest *guest = &guests[number];
        if (guest->answered != 0) {
            latencies_add(&waits, guest->answered - guest->began);
            latencies_add(&waits_since_up, guest->answered - (guest->began > up ? guest->began : up));
        }
    }
    return up;
}

static void print_waits(const char *name, struct latencies *all) {
    if (all->count == 0) {
        return;
    }
    qsort(all->values, all->count, sizeof *all->values, compare_latencies);
    size_t last = all->count - 1, late = 0;
    while (late < all->count && all->values[last - late] > LATE) {
        late++;
    }
    printf(
        " %s_p50_us=%u %s_p99_us=%u %s_max_us=%u %s_late=%zu", name, all->values[last / 2], name,
        all->values[(size_t)((double)last * 0.99)], name, all->values[last], name, late);
}

static void end_command(int wanted, uint64_t start, uint64_t processor) {
    uint64_t time = now_microseconds(), up = take_waits();
    printf(
        "guests=%d served=%d seconds=%.6f up_seconds=%.6f processor_us=%" PRIu64 " attempts=%" PRIu64 " refused=%" PRIu64
        " broken=%" PRIu64 " timed_out=%" PRIu64 " resumed=%" PRIu64 " tickets=%" PRIu64 " lost=%" PRIu64,
        wanted, served, (double)(time - start) / 1e6, up < time ? (double)(time - up) / 1e6 : 0,
        processor_microseconds() - processor, counts.attempts, counts.refused, counts.broken, counts.timed_out, counts.resumed,
        counts.tickets, counts.lost);
    print_waits("wait", &waits);
    print_waits("up", &waits_since_up);
    printf("\n");
    fflush(stdout);
}

// Returns whether there was an event.
static bool poll_once(int milliseconds) {
    struct epoll_event events[256];
    int ready = epoll_wait(poller, events, 256, milliseconds);
    if (ready < 0 && errno != EINTR) {
        fail("cannot wait for the network");
    }
    for (int index = 0; index < ready; index++) {
        guest_continue(events[index].data.ptr);
    }
    return ready > 0;
}

// Begins the attempts that are due, and gives up attempts that have taken too long.
static void look(int wanted, int most) {
    uint64_t time = now_microseconds();
    for (int number = 0; number < wanted; number++) {
        struct guest *guest = &guests[number];
        if (guest->state == WAITING && guest->due <= time && under_way < most) {
            guest_connect(guest);
        } else if (guest->state >= CONNECTING && guest->state < SERVED && guest->deadline <= time) {
            guest_give_up(guest);
        }
    }
}

// Runs until all are served, or the time is over.
static void serve_all(int wanted, int most, uint64_t end) {
    uint64_t looked = 0;
    int next = 0;
    for (;;) {
        uint64_t time = now_microseconds();
        if ((served == wanted && next >= wanted) || time >= end) {
            return;
        }
        // First attempts, in order, as soon as the limit allows one.
        while (next < wanted && under_way < most) {
            struct guest *guest = &guests[next++];
            if (guest->state == ABSENT) {
                guest->began = most < wanted ? now_microseconds() : time;
                guest_connect(guest);
            }
        }
        if (time - looked >= LOOK) {
            looked = time;
            look(wanted, most);
        }
        poll_once(LOOK / 1000);
    }
}

static void connect_command(int wanted, int under_way_at_most, uint64_t seconds) {
    uint64_t processor = processor_microseconds(), start = now_microseconds();
    serve_all(wanted, under_way_at_most > 0 ? under_way_at_most : wanted, start + seconds * 1000000);
    end_command(wanted, start, processor);
}

static void ping_command(uint64_t seconds) {
    uint64_t processor = processor_microseconds(), start = now_microseconds();
    int wanted = served;
    for (int number = 0; number < wanted; number++) {
        guest_ask(&guests[number]);
    }
    serve_all(wanted, wanted, start + seconds * 1000000);
    end_command(wanted, start, processor);
}

static void leave_command(int kept) {
    for (int number = kept; number < MOST_GUESTS; number++) {
        if (guests[number].state == SERVED) {
            guest_leave(&guests[number]);
        } else if (guests[number].state > WAITING) {
            guest_give_up(&guests[number]);
        }
        guests[number].state = ABSENT;
    }
    printf("served=%d\n", served);
    fflush(stdout);
}

static void wait_for_loss(bool return_too, uint64_t seconds) {
    uint64_t processor = processor_microseconds(), start = now_microseconds(), end = start + seconds * 1000000;
    int wanted = served;
    settings.returns = return_too;
    while ((int)counts.lost < wanted && now_microseconds() < end) {
        poll_once(LOOK / 1000);
        if (return_too) {
            look(wanted, wanted);
        }
    }
    // Measures from the moment when the first guest noticed.
    if (return_too) {
        for (int number = 0; number < wanted; number++) {
            start = number == 0 || guests[number].began < start ? guests[number].began : start;
        }
        serve_all(wanted, wanted, end);
    }
    settings.returns = false;
    end_command(wanted, start, processor);
}

static bool obey(char *line) {
    int wanted, most;
    uint64_t seconds;
    begin_command();
    if (sscanf(line, "connect %d %d %" SCNu64, &wanted, &most, &seconds) == 3 && wanted > 0 && wanted <= MOST_GUESTS &&
        most >= 0) {
        connect_command(wanted, most, seconds);
    } else if (sscanf(line, "ping %" SCNu64, &seconds) == 1) {
        ping_command(seconds);
    } else if (sscanf(line, "leave %d", &wanted) == 1 && wanted >= 0 && wanted <= MOST_GUESTS) {
        leave_command(wanted);
    } else if (strcmp(line, "check\n") == 0) {
        while (poll_once(0)) {
        }
        printf("served=%d lost=%" PRIu64 "\n", served, counts.lost);
        fflush(stdout);
    } else if (sscanf(line, "lose %" SCNu64, &seconds) == 1) {
        wait_for_loss(false, seconds);
    } else if (sscanf(line, "return %" SCNu64, &seconds) == 1) {
        wait_for_loss(true, seconds);
    } else if (strcmp(line, "resume on\n") == 0 || strcmp(line, "resume off\n") == 0) {
        settings.resumes = line[8] == 'n';
        printf("ok\n");
        fflush(stdout);
    } else {
        fprintf(stderr, "quiet-guests: no such command: %s", line);
        return false;
    }
    return true;
}

int main(int count, char **arguments) {
    if (count != 4 || (settings.port = atoi(arguments[1])) < 1 || (settings.identities = atoi(arguments[3])) < 1) {
        fprintf(stderr, "usage: quiet-guests PORT TLS-DIRECTORY IDENTITIES\n");
        return 64;
    }
    settings.directory = arguments[2];
    srand((unsigned)time(NULL));
    // As many descriptors as allowed; a command for more connections fails when they run out.
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    poller = epoll_create1(EPOLL_CLOEXEC);
    guests = calloc(MOST_GUESTS, sizeof *guests);
    if (guests == NULL || poller < 0) {
        fail("out of memory");
    }
    for (int number = 0; number < MOST_GUESTS; number++) {
        guests[number].number = number;
        guests[number].descriptor = -1;
    }
    guests_prepare();
    printf("ready\n");
    fflush(stdout);
    char line[128];
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (!obey(line)) {
            return 64;
        }
    }
    return 0;
}
