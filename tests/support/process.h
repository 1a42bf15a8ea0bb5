/* SPDX-License-Identifier: Apache-2.0 */
/* One of our programs, as a child of the test: started, awaited, looked at, ended by its pid, at
 * the latest by the kernel when the test ends. Embedded in what knows which program it is. Failures
 * of the surroundings abort: a test cannot go on. */
#ifndef PORTICO_TESTS_PROCESS_H
#define PORTICO_TESTS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"

/* Sanitizers make starting slow, and so do other tests beside this one. */
#define PROCESS_START_PATIENCE (60 * USEC_PER_SEC)

struct process {
    pid_t pid;  /* 0: it does not run */
    int pid_fd; /* readable once it has ended */
    int output; /* its standard output */
};

/* What does not run. */
#define PROCESS_NONE ((struct process){.pid_fd = -1, .output = -1})

struct process_start {
    const char *const *arguments; /* its path first; NULL at the end */
    const char *directory;        /* standard error is appended to DIRECTORY/log */
    /* In the child, before it becomes the program; NULL: nothing. */
    void (*prepare)(const void *context);
    const void *context;
};

void process_launch(struct process *process, const struct process_start *start);

/* Its first line, "PROGRAM: serving on ADDRESS:PORT...", without looking at it. False: it ended, or
 * said none within PROCESS_START_PATIENCE; `line` has what there was. */
bool process_await_line(const struct process *process, char *line, size_t size);

/* Its exit status, or -1 when it does not end within `patience` (then it is killed), or 128 +
 * signal. */
int process_wait(struct process *process, usec_t patience);
void process_signal(const struct process *process, int number);
bool process_is_alive(const struct process *process);

/* DIRECTORY/NAME, empty when there is none; to be freed. */
char *process_file(const char *directory, const char *name);
/* ctest looks for a sanitizer's report in what the test says, not in what its children do: show
 * DIRECTORY/log when there is one in it, or a failed CHECK(). */
void process_show_reports(const char *directory);

/* /proc: KiB of a line of `status` such as "VmHWM", open descriptors, user and system time so far.
 */
uint64_t process_memory_kib(const struct process *process, const char *what);
unsigned process_descriptors(const struct process *process);
usec_t process_cpu(const struct process *process);

#endif
