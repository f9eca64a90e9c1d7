// SPDX-License-Identifier: Apache-2.0

#ifndef C_COMMAND_EXECUTION_H
#define C_COMMAND_EXECUTION_H

#include <stdbool.h>
#include <sys/types.h>

// Runs a command so that it inherits from this process what a program inherits from its caller across exec(2). The
// functions that can fail return 0 or an errno value.

// Records the signal mask, ignored signals and open descriptors. Call it once, on the main thread, before anything
// changes them.
int command_inheritance_record(void);

// Creates a pipe that no command inherits.
int command_pipe(int descriptors[2]);

// Blocks SIGCHLD and the signals that are passed on, so that command_signal_wait() receives them. A signal that the
// caller ignores stays ignored. Ignores SIGPIPE: a reader of our output that disconnects must not end this process.
// Call it on the main thread before any other thread exists, because other threads inherit the mask.
int command_signals_hold(void);

// Waits for one of those signals, on the main thread.
//
// Returns the signal, or 0 when the wait was interrupted. `is_from_kernel` is set for a signal that no process sent,
// such as one typed at a terminal.
int command_signal_wait(bool *is_from_kernel);

// Returns whether the caller had the signal ignored, or blocked.
bool command_was_ignored(int signal);
bool command_was_blocked(int signal);

// Ends the main thread's wait as SIGCHLD does.
void command_wake(void);

// Ends this process by the default action of a signal that was blocked.
void command_die(int signal);

// Starts the command. `file` is looked up in PATH unless it has a slash, and a file whose format the kernel does not
// know is run by /bin/sh; execvp(3) does the same. The command's standard error is `standard_error`. Its environment is
// this process's, but with `variable` set to `value`.
//
// The command inherits everything from this process except for signals: its mask and ignored signals are those that
// were recorded. Of the descriptors it gets those that were open when they were recorded, and no other.
//
// Call it on the main thread. The nice value, the processors, the scheduling policy and everything else that Linux
// keeps for each thread are inherited from the thread that starts a process. The signal that some programs ask for at
// their parent's end (PR_SET_PDEATHSIG) comes at the end of that thread.
int command_start(
    const char *file, char *const arguments[], const char *variable, const char *value, int standard_error, pid_t *process);

// Reaps a child that has ended.
//
// Returns its process id, or 0 when no child has ended.
pid_t command_reap(int *status);

bool command_has_exited(int status);
int command_exit_status(int status);
int command_ending_signal(int status);

// Starts a process that takes over when the writing end of the pipe `control` is closed, also by this process's death.
// It then copies `data` to standard error until the end of the file. It ignores all signals that can be ignored, and
// has no other descriptor open.
int standard_error_keeper_start(int data, int control, pid_t *keeper);

// Reaps the keeper, which ends by itself once no process writes to its pipes any more. Waits for at most a second.
void standard_error_keeper_reap(pid_t keeper);

// Writes all of the bytes, and waits while a non-blocking descriptor is full.
int command_write(int descriptor, const void *bytes, size_t count);

// Checks whether this many more threads can be created. When it returns 0, the kernel no longer counts the threads
// created for the check.
int command_check_threads(int count);

// Checks whether a limit of the address space (RLIMIT_AS) is enough for the stacks of this many threads and for a heap.
// If there is such a limit, the threads share one heap from then on.
int command_check_address_space(int threads);

// Checks whether this many more descriptors can be opened.
int command_check_descriptors(int count);

// Returns whether the file is on a file system from which programs cannot be run.
bool command_is_on_noexec_volume(const char *path);

enum { command_emptying_limit = 1000 };

// Makes the directory inaccessible to other users, and removes the files in it, but no directory. If it holds more than
// the limit, some files stay.
void command_empty_directory(int directory);

#endif
