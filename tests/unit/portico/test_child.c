/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct loop *loop;
static struct child *child;
static char heard[8192];
static int ending;

static void line(void *context, struct str text)
{
    (void)context;
    size_t len = strlen(heard);
    snprintf(heard + len, sizeof heard - len, "%.*s|", STR_ARG(text));
}

static void ended(void *context, int status)
{
    (void)context;
    ending = status;
    loop_stop(loop);
}

static const struct child_events events = {line, ended};

static void begin(void)
{
    loop = loop_new(&clock_system, NULL);
    cr_assert_not_null(loop);
    ending = -1;
}

static void end(void)
{
    child_free(child);
    loop_free(loop);
}

TestSuite(child, .init = begin, .fini = end, .timeout = 30);

static void start(const char *script)
{
    const char *arguments[] = {"/bin/sh", "-c", script, NULL};
    child_free(child);
    child = NULL;
    cr_assert_eq(child_start(loop, arguments, &events, NULL, &child, NULL), 0);
}

static void run(const char *script)
{
    start(script);
    cr_assert_eq(loop_run(loop), 0);
}

Test(child, both_outputs_are_heard_before_the_end)
{
    run("echo one; echo two >&2; printf three; exit 5");
    cr_expect_str_eq(heard, "one|two|three|");
    cr_assert(WIFEXITED(ending));
    cr_expect_eq(WEXITSTATUS(ending), 5);
}

Test(child, its_end_is_described)
{
    char text[CHILD_ENDING_SIZE];
    run("kill -9 $$");
    cr_expect_str_eq(child_describe_ending(ending, text), "was killed by signal 9 (Killed)");
    run("exit 3");
    cr_expect_str_eq(child_describe_ending(ending, text), "ended with status 3");
}

Test(child, it_is_told_by_signals)
{
    start("trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
    while (strstr(heard, "ready") == NULL) {
        cr_assert_eq(loop_turn(loop, USEC_PER_SEC), 0);
    }
    child_signal(child, SIGTERM);
    cr_assert_eq(loop_run(loop), 0);
    cr_expect_str_eq(heard, "ready|told|");
    child_signal(child, SIGTERM); /* nobody's any more */
}

Test(child, its_group_is_its_own)
{
    char wanted[64];
    start("cut -d ' ' -f 5 /proc/$$/stat; echo $$; cat; exit 0");
    cr_assert_eq(loop_run(loop), 0);
    long group = strtol(heard, NULL, 10);
    snprintf(wanted, sizeof wanted, "|%ld|", group);
    cr_expect_not_null(strstr(heard, wanted), "%s", heard);
    cr_expect_neq(group, getpgrp());
}

static bool is_running(pid_t pid)
{
    char path[64];
    char state = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool is_read = fscanf(file, "%*d %*s %c", &state) == 1;
    fclose(file);
    return is_read && state != 'Z';
}

Test(child, what_it_started_ends_with_it)
{
    run("sleep 300 & echo $!; exit 0");
    pid_t left = (pid_t)strtol(heard, NULL, 10);
    cr_assert_gt(left, 0);
    /* Killed; its new parent may not have waited for it yet. */
    for (int i = 0; i < 500 && is_running(left); i++) {
        usleep(10000);
    }
    cr_expect_not(is_running(left));
}

Test(child, freeing_kills_it)
{
    start("echo $$; sleep 300");
    while (heard[0] == '\0') {
        cr_assert_eq(loop_turn(loop, USEC_PER_SEC), 0);
    }
    pid_t pid = (pid_t)strtol(heard, NULL, 10);
    child_free(child);
    child = NULL;
    cr_expect_eq(kill(pid, 0), -1);
    cr_expect_eq(errno, ESRCH);
    cr_expect_eq(ending, -1);
}

Test(child, a_program_that_is_not_there_says_so)
{
    const char *arguments[] = {"/nowhere/program", NULL};
    cr_assert_eq(child_start(loop, arguments, &events, NULL, &child, NULL), 0);
    cr_assert_eq(loop_run(loop), 0);
    cr_expect_not_null(strstr(heard, "cannot execute /nowhere/program"), "%s", heard);
    cr_expect_eq(WEXITSTATUS(ending), 127);
}
