/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

/* Runs `fail` in a process of its own; what that wrote to standard error before it aborted. */
static const char *last_words(void (*fail)(void))
{
    static char text[4096];
    int ends[2];
    size_t len = 0;
    ssize_t n;
    int status;
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        fail();
        _exit(0);
    }
    close(ends[1]);
    while ((n = read(ends[0], text + len, sizeof text - 1 - len)) > 0) {
        len += (size_t)n;
    }
    close(ends[0]);
    text[len] = '\0';
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %x", (unsigned)status);
    return text;
}

struct gadget {
    uint32_t magic;
    int value;
};

enum { GADGET_MAGIC = 0x67616467 };

Test(check, a_true_condition_is_evaluated_once_and_silent)
{
    int count = 0;
    CHECK(++count == 1);
    cr_assert_eq(count, 1);
}

Test(check, a_false_condition_aborts, .signal = SIGABRT)
{
    CHECK(1 + 1 == 3);
}

static void fail_plainly(void)
{
    CHECK(1 + 1 == 3);
}

Test(check, names_place_function_and_condition)
{
    char expected[256];
    const char *words = last_words(fail_plainly);
    const char *place = strstr(words, "test_check.c:");
    cr_assert_not_null(place, "%s", words);
    int line = 0;
    cr_assert_eq(sscanf(place, "test_check.c:%d:", &line), 1);
    cr_assert_gt(line, 0);
    snprintf(expected, sizeof expected,
             "test_check.c:%d: fail_plainly(): CHECK failed: 1 + 1 == 3\n", line);
    cr_assert_str_eq(place, expected);
}

static void fail_at_length(void)
{
    char condition[2000];
    memset(condition, 'x', sizeof condition);
    condition[sizeof condition - 1] = '\0';
    check_failed(condition, "somewhere.c", 7, "function");
}

Test(check, a_long_condition_keeps_its_place_and_its_line_end)
{
    const char *words = last_words(fail_at_length);
    size_t len = strlen(words);
    cr_assert_eq(strncmp(words, "somewhere.c:7: function(): CHECK failed: xxx", 40), 0);
    cr_assert_lt(len, 513);
    cr_assert_eq(words[len - 1], '\n');
    cr_assert_eq(strchr(words, '\n'), words + len - 1);
}

static void dump_state(int fd)
{
    (void)!write(fd, "three proxies\n", 14);
}

static void fail_with_dump(void)
{
    check_set_dump(dump_state);
    check_failed("x", "f.c", 1, "g");
}

Test(check, the_programs_state_follows)
{
    cr_assert_str_eq(last_words(fail_with_dump), "f.c:1: g(): CHECK failed: x\nthree proxies\n");
}

static void dump_fails_itself(int fd)
{
    (void)!write(fd, "dumping\n", 8);
    check_failed("y", "f.c", 2, "dump");
}

static void fail_with_failing_dump(void)
{
    check_set_dump(dump_fails_itself);
    check_failed("x", "f.c", 1, "g");
}

Test(check, a_dump_that_fails_is_not_run_again)
{
    cr_assert_str_eq(last_words(fail_with_failing_dump),
                     "f.c:1: g(): CHECK failed: x\ndumping\nf.c:2: dump(): CHECK failed: y\n");
}

Test(check, magic_cast_gives_the_object_back)
{
    struct gadget gadget = {GADGET_MAGIC, 5};
    void *anonymous = &gadget;
    cr_assert_eq(MAGIC_CAST(struct gadget, GADGET_MAGIC, anonymous)->value, 5);
}

static void fail_by_magic(void)
{
    struct gadget gadget = {0xdeadbeef, 5};
    (void)MAGIC_CAST(struct gadget, GADGET_MAGIC, (void *)&gadget);
}

Test(check, magic_cast_refuses_another_object)
{
    cr_assert_not_null(strstr(last_words(fail_by_magic),
                              "CHECK failed: struct gadget expected, magic 0xdeadbeef found\n"));
}

Test(check, magic_cast_refuses_null, .signal = SIGABRT)
{
    (void)MAGIC_CAST(struct gadget, GADGET_MAGIC, NULL);
}

Test(check, magic_cast_refuses_null_even_for_magic_zero, .signal = SIGABRT)
{
    (void)MAGIC_CAST(struct gadget, 0, NULL);
}
