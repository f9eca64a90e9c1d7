#ifndef C_COMMAND_EXECUTION_H
#define C_COMMAND_EXECUTION_H

#include <stdbool.h>
#include <sys/types.h>

// Runs a command so that it inherits from this process what a program inherits from its caller over exec(2). The functions that
// return an int return 0, or the number that errno has for the failure.

// Records signal mask, ignored signals and open descriptors. Call it once, on the main thread, before anything changes them.
int command_inheritance_record(void);

// Makes a pipe that no command inherits.
int command_pipe(int descriptors[2]);

// Blocks the signals that are passed on, so that command_signal_wait() takes them, and SIGCHLD. A signal that the caller ignores
// stays ignored. Ignores SIGPIPE: a reader of our output that disconnects must not end this process. Call it on the main
// thread before there is another one: others inherit the mask.
int command_signals_hold(void);

// Waits for one of those signals, on the main thread.
//
// Returns the signal; 0 when the wait was interrupted. `is_from_kernel` is set for a signal that no process sent, such as what is
// typed at a terminal.
int command_signal_wait(bool *is_from_kernel);

// Whether the caller had the signal ignored, or blocked.
bool command_was_ignored(int signal);
bool command_was_blocked(int signal);

// Ends the main thread's wait as SIGCHLD does.
void command_wake(void);

// Ends this process as the signal does that was held.
void command_die(int signal);

// Starts the command: `file` is looked up in PATH unless it has a slash, and a file that the kernel takes for no program is run by
// /bin/sh, as execvp(3) does both. Its standard error is `standard_error`, its variables are this process's but for `variable`.
//
// The command has this process's identity but for signals: mask and ignored signals are those that were recorded. Of the
// descriptors it gets those that were open when they were recorded, and no other.
//
// Call it on the main thread: the nice value, the processors, the scheduling policy and what else Linux keeps for each thread are
// inherited from the thread that starts a process, and the signal that some programs ask for at their parent's end
// (PR_SET_PDEATHSIG) comes at the end of that thread.
int command_start(
    const char *file, char *const arguments[], const char *variable, const char *value, int standard_error, pid_t *process);

// Reaps a child that has ended.
//
// Returns its process id, or 0 when there is none now.
pid_t command_reap(int *status);

bool command_has_exited(int status);
int command_exit_status(int status);
int command_ending_signal(int status);

// Starts a process that takes over when the writing end of the pipe `control` is closed, be it by this process's death: it copies
// `data` to standard error until the end of the file. It ignores all signals that can be ignored and holds nothing else open.
int standard_error_keeper_start(int data, int control, pid_t *keeper);

// Reaps the keeper, which ends by itself once no process writes to its pipes any more. Waits a second at most.
void standard_error_keeper_reap(pid_t keeper);

// Writes all of the bytes, and waits while a descriptor that does not block has no room.
int command_write(int descriptor, const void *bytes, size_t count);

// Finds out whether so many threads more can be made. When it returns 0, the kernel counts none of those that were made for that.
int command_check_threads(int count);

// Finds out whether a limit of addresses (RLIMIT_AS) leaves room for the stacks of so many threads and for a heap. Where there is one,
// the threads share a heap from then on.
int command_check_address_space(int threads);

// Finds out whether so many descriptors more can be opened.
int command_check_descriptors(int count);

// Whether the file is on a file system that programs cannot be run from.
bool command_is_on_noexec_volume(const char *path);

enum { command_emptying_limit = 1000 };

// Takes the right to write in the directory from others, and removes the files in it, but no directory. Of more than the limit
// some stay.
void command_empty_directory(int directory);

#endif
