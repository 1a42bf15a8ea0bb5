/* SPDX-License-Identifier: Apache-2.0 */
/* A child process: its beginning, what it writes, its end. It leads a process group of its own, so
 * that the terminal's Ctrl-C reaches us alone, and dies with us, even when we are killed. Owned by
 * the loop's thread, which must be the one that lives longest: the kernel ends the child when the
 * thread that started it ends. */
#ifndef PORTICO_COMMAND_CHILD_H
#define PORTICO_COMMAND_CHILD_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"
#include "net/loop.h"

struct child;

struct child_events {
    /* It wrote a line, to standard output or standard error. */
    void (*line)(void *context, struct str line);
    /* It ended, all its lines were told; `status` as waitpid() has it. It may be freed here. */
    void (*ended)(void *context, int status);
};

/* Start the program at the path `arguments[0]`, its input from /dev/null. All is borrowed,
 * `arguments` and `error` for the time of the call. 0, or a negative errno with words; a program
 * that cannot be executed says so as its last line and ends with status 127. */
MUST_CHECK int child_start(struct loop *loop, const char *const *arguments,
                           const struct child_events *events, void *context, struct child **child,
                           struct error *error);

/* Does nothing once it has ended. */
void child_signal(struct child *child, int signal);

/* If it still runs it is killed, with all that it started in its group, and gone when this
 * returns; nothing is told any more. NULL is fine. */
void child_free(struct child *child);

/* "ended with status 1", "was killed by signal 9 (Killed)". */
enum { CHILD_ENDING_SIZE = 96 };
const char *child_describe_ending(int status, char text[CHILD_ENDING_SIZE]);

#endif
