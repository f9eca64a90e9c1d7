// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "command_execution.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { first_other_descriptor = STDERR_FILENO + 1, close_on_exec_flag = 4 /* CLOSE_RANGE_CLOEXEC */ };

static struct {
    pthread_t main_thread;
    sigset_t mask;
    bool is_ignored[NSIG];
    // The signal that this process has requested for its parent's end, or 0.
    int parent_death_signal;
    // Whether standard input and output are closed.
    bool is_closed[STDERR_FILENO];
    // The inheritable descriptors above standard error, in ascending order.
    int *descriptors;
    size_t count;
} caller;

// The signals that command_signal_wait() receives.
static sigset_t held;

// Calls rt_sigaction(2) directly, because the C library allows neither a query nor a change of the two signals that it
// uses itself. The structure begins with the disposition on every architecture that Swift runs on; the rest is zero.
static bool is_ignored_now(int number) {
    void (*action[16])(int) = {SIG_DFL};
    return syscall(SYS_rt_sigaction, number, NULL, action, 8) == 0 && action[0] == SIG_IGN;
}

static void set_disposition(int number, void (*disposition)(int)) {
    void (*action[16])(int) = {disposition};
    // It fails for the two signals whose disposition cannot be changed.
    syscall(SYS_rt_sigaction, number, action, NULL, 8);
}

static int compare(const void *left, const void *right) {
    int a = *(const int *)left, b = *(const int *)right;
    return (a > b) - (a < b);
}

static int record_descriptor(int descriptor, size_t *capacity) {
    int flags = fcntl(descriptor, F_GETFD);
    if (flags < 0 || flags & FD_CLOEXEC) {
        return 0;
    }
    if (caller.count == *capacity) {
        *capacity = *capacity * 2 + 16;
        int *longer = realloc(caller.descriptors, *capacity * sizeof *longer);
        if (!longer) {
            return ENOMEM;
        }
        caller.descriptors = longer;
    }
    caller.descriptors[caller.count++] = descriptor;
    return 0;
}

static int record_descriptors(void) {
    size_t capacity = 0;
    int error = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (directory) {
        struct dirent *entry;
        while (!error && (entry = readdir(directory))) {
            int descriptor = atoi(entry->d_name);
            if (descriptor >= first_other_descriptor) {
                error = record_descriptor(descriptor, &capacity);
            }
        }
        closedir(directory);
        qsort(caller.descriptors, caller.count, sizeof *caller.descriptors, compare);
        return error;
    }
    // There is no /proc, or no descriptor left to read it with.
    struct rlimit limit;
    long end = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 1 << 20 ? (long)limit.rlim_cur : 1 << 20;
    for (int descriptor = first_other_descriptor; !error && descriptor < end; descriptor++) {
        error = record_descriptor(descriptor, &capacity);
    }
    return error;
}

int command_inheritance_record(void) {
    caller.main_thread = pthread_self();
    sigprocmask(SIG_BLOCK, NULL, &caller.mask);
    for (int number = 1; number < NSIG; number++) {
        caller.is_ignored[number] = is_ignored_now(number);
    }
    for (int descriptor = 0; descriptor < STDERR_FILENO; descriptor++) {
        caller.is_closed[descriptor] = fcntl(descriptor, F_GETFD) < 0;
    }
    prctl(PR_GET_PDEATHSIG, &caller.parent_death_signal);
    return record_descriptors();
}

int command_pipe(int descriptors[2]) { return pipe2(descriptors, O_CLOEXEC) == 0 ? 0 : errno; }

int command_signals_hold(void) {
    static const int passed_on[] = {SIGHUP,  SIGINT,    SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM,
                                    SIGTERM, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  SIGSTKFLT};
    sigemptyset(&held);
    sigaddset(&held, SIGCHLD);
    for (size_t index = 0; index < sizeof passed_on / sizeof *passed_on; index++) {
        if (!caller.is_ignored[passed_on[index]]) {
            sigaddset(&held, passed_on[index]);
        }
    }
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++) {
        if (!caller.is_ignored[number]) {
            sigaddset(&held, number);
        }
    }
    // While SIGCHLD is ignored, the kernel keeps no child's exit status.
    if (signal(SIGCHLD, SIG_DFL) == SIG_ERR || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return errno;
    }
    return pthread_sigmask(SIG_BLOCK, &held, NULL);
}

int command_signal_wait(bool *is_from_kernel) {
    siginfo_t information;
    int number = sigwaitinfo(&held, &information);
    *is_from_kernel = number > 0 && information.si_code == SI_KERNEL;
    return number > 0 ? number : 0;
}

bool command_was_ignored(int number) { return number > 0 && number < NSIG && caller.is_ignored[number]; }

bool command_was_blocked(int number) { return sigismember(&caller.mask, number) == 1; }

void command_wake(void) { pthread_kill(caller.main_thread, SIGCHLD); }

void command_die(int number) {
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, number);
    signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    raise(number);
}

static void close_between(unsigned first, unsigned last, unsigned flags) {
    if (first > last || syscall(SYS_close_range, first, last, flags) == 0 || flags == close_on_exec_flag) {
        return;
    }
    // An older kernel has no close_range(2), or a container's system call filter rejects it.
    unsigned end = last < 1 << 16 ? last : 1 << 16;
    for (unsigned descriptor = first; descriptor <= end; descriptor++) {
        close((int)descriptor);
    }
}

// Closes all descriptors above standard error except those to keep, which are in ascending order; or has exec(2) close
// them.
static void close_others(const int *kept, size_t count, unsigned flags) {
    unsigned first = first_other_descriptor;
    for (size_t index = 0; index < count; index++) {
        close_between(first, (unsigned)kept[index] - 1, flags);
        first = (unsigned)kept[index] + 1;
    }
    close_between(first, ~0u, flags);
}

static void become_command(
    const char *file, char *const arguments[], char *const environment[], int standard_error) {
    for (int number = 1; number < NSIG; number++) {
        set_disposition(number, caller.is_ignored[number] ? SIG_IGN : SIG_DFL);
    }
    // A command that had to end with the caller ends with this process, which has to end with the caller.
    prctl(PR_SET_PDEATHSIG, caller.parent_death_signal);
    if (dup2(standard_error, STDERR_FILENO) < 0) {
        return;
    }
    for (int descriptor = 0; descriptor < STDERR_FILENO; descriptor++) {
        if (caller.is_closed[descriptor]) {
            close(descriptor);
        }
    }
    // It does nothing before Linux 5.11. exec(2) closes this process's descriptors there too, except for one that a
    // library has just opened and not marked yet.
    close_others(caller.descriptors, caller.count, close_on_exec_flag);
    sigprocmask(SIG_SETMASK, &caller.mask, NULL);
    execvpe(file, arguments, environment);
}

// A separate function that is never inlined: the child runs on its parent's stack until it is the command.
__attribute__((noinline)) static int start(
    const char *file, char *const arguments[], char *const environment[], int standard_error, pid_t *process) {
    volatile int failure = 0;
    sigset_t all, previous;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    pid_t child = vfork();
    if (child == 0) {
        become_command(file, arguments, environment, standard_error);
        failure = errno;
        _exit(127);
    }
    int error = child < 0 ? errno : failure;
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    if (child > 0 && error) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    *process = child;
    return error;
}

int command_start(
    const char *file, char *const arguments[], const char *variable, const char *value, int standard_error, pid_t *process) {
    size_t count = 0, length = strlen(variable), kept = 0;
    while (environ && environ[count]) {
        count++;
    }
    char **environment = calloc(count + 2, sizeof *environment);
    char *own = malloc(length + strlen(value) + 2);
    int error = ENOMEM;
    if (environment && own) {
        for (size_t index = 0; index < count; index++) {
            if (strncmp(environ[index], variable, length) != 0 || environ[index][length] != '=') {
                environment[kept++] = environ[index];
            }
        }
        memcpy(own, variable, length);
        own[length] = '=';
        strcpy(own + length + 1, value);
        environment[kept] = own;
        error = start(file, arguments, environment, standard_error, process);
    }
    free(own);
    free(environment);
    return error;
}

pid_t command_reap(int *status) {
    pid_t process = waitpid(-1, status, WNOHANG);
    return process > 0 ? process : 0;
}

bool command_has_exited(int status) { return WIFEXITED(status); }
int command_exit_status(int status) { return WEXITSTATUS(status); }
int command_ending_signal(int status) { return WTERMSIG(status); }

int command_write(int descriptor, const void *bytes, size_t count) {
    const char *rest = bytes;
    while (count > 0) {
        ssize_t written = write(descriptor, rest, count);
        if (written >= 0) {
            rest += written;
            count -= (size_t)written;
        } else if (errno == EAGAIN) {
            struct pollfd room = {.fd = descriptor, .events = POLLOUT};
            poll(&room, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static ssize_t read_some(int descriptor, char *buffer, size_t length) {
    ssize_t count;
    do {
        count = read(descriptor, buffer, length);
    } while (count < 0 && errno == EINTR);
    return count;
}

__attribute__((noreturn)) static void keep_standard_error(int data, int control) {
    static char buffer[64 << 10];
    for (int number = 1; number < NSIG; number++) {
        set_disposition(number, SIG_IGN);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_NAME, "stderr-keeper");
    // The keeper must not prevent a disk from being unmounted, nor another stream's reader from seeing the stream's
    // end.
    if (chdir("/") != 0) {
        // The keeper stays in its directory.
    }
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    int kept[] = {data, control};
    qsort(kept, 2, sizeof *kept, compare);
    close_others(kept, 2, 0);
    while (read_some(control, buffer, sizeof buffer) > 0) {
    }
    close(control);
    ssize_t count;
    while ((count = read_some(data, buffer, sizeof buffer)) > 0) {
        // A reader that has disconnected, or a full disk, must not end the command's children either.
        command_write(STDERR_FILENO, buffer, (size_t)count);
    }
    _exit(0);
}

int standard_error_keeper_start(int data, int control, pid_t *keeper) {
    pid_t process = fork();
    if (process == 0) {
        keep_standard_error(data, control);
    }
    *keeper = process;
    return process > 0 ? 0 : errno;
}

void standard_error_keeper_reap(pid_t keeper) {
    enum { pause = 1000, pauses = 1000 };
    for (int index = 0; index < pauses; index++) {
        pid_t ended = waitpid(keeper, NULL, WNOHANG);
        // The main thread, which reaps all children, may have been first.
        if (ended == keeper || (ended < 0 && errno == ECHILD)) {
            return;
        }
        usleep(pause);
    }
}

static void *pass_through(void *lock) {
    pthread_mutex_lock(lock);
    pthread_mutex_unlock(lock);
    return NULL;
}

// Returns the number of threads of this process, or 0 when the system does not report it.
static int thread_count(void) {
    DIR *directory = opendir("/proc/self/task");
    int count = 0;
    if (!directory) {
        return 0;
    }
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        count += entry->d_name[0] != '.';
    }
    closedir(directory);
    return count;
}

// Waits until the kernel counts no more threads than this. pthread_join() returns a moment before the kernel stops
// counting a thread. A thread disappears from the directory after it has left the limits.
static int wait_for_thread_count(int count) {
    enum { pause = 1000, pauses = 10000 };
    int index = 0;
    if (count == 0) {
        usleep(20 * pause);
        return 0;
    }
    while (thread_count() > count) {
        if (++index > pauses) {
            return EAGAIN;
        }
        usleep(pause);
    }
    return 0;
}

int command_check_threads(int count) {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    if (!threads) {
        return ENOMEM;
    }
    int error = 0, made = 0, before = thread_count();
    // No thread ends before all are created.
    pthread_mutex_lock(&lock);
    while (made < count && !(error = pthread_create(&threads[made], NULL, pass_through, &lock))) {
        made++;
    }
    pthread_mutex_unlock(&lock);
    for (int index = 0; index < made; index++) {
        pthread_join(threads[index], NULL);
    }
    free(threads);
    return error ? error : wait_for_thread_count(before);
}

int command_check_address_space(int threads) {
    enum { heap = 128 << 20 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return 0;
    }
    // A separate arena for each thread would take 64 MiB of address space per thread.
    mallopt(M_ARENA_MAX, 1);
    pthread_attr_t attributes;
    size_t stack = 8 << 20;
    if (pthread_attr_init(&attributes) == 0) {
        pthread_attr_getstacksize(&attributes, &stack);
        pthread_attr_destroy(&attributes);
    }
    size_t length = heap + (size_t)threads * stack;
    void *addresses = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (addresses == MAP_FAILED) {
        return errno;
    }
    munmap(addresses, length);
    return 0;
}

int command_check_descriptors(int count) {
    int *copies = calloc((size_t)count, sizeof *copies);
    if (!copies) {
        return ENOMEM;
    }
    int error = 0, made = 0;
    while (made < count && !error) {
        // Standard error is always open: StandardStreams.holdPlaces().
        copies[made] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
        error = copies[made] < 0 ? errno : 0;
        made += !error;
    }
    for (int index = 0; index < made; index++) {
        close(copies[index]);
    }
    free(copies);
    return error;
}

bool command_is_on_noexec_volume(const char *path) {
    struct statvfs volume;
    return statvfs(path, &volume) == 0 && volume.f_flag & ST_NOEXEC;
}

void command_empty_directory(int directory) {
    int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (!stream) {
        if (copy >= 0) {
            close(copy);
        }
        return;
    }
    // From now on no other user can add files. Other users may have put more files there than are worth the time to
    // remove.
    fchmod(directory, 0700);
    struct dirent *entry;
    for (int count = 0; count < command_emptying_limit && (entry = readdir(stream)); count++) {
        // It fails for directories.
        unlinkat(directory, entry->d_name, 0);
    }
    closedir(stream);
}
