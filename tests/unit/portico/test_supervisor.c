/* SPDX-License-Identifier: Apache-2.0 */
/* The decisions of portico run, without processes: every act is written down as a word. */
#include "supervisor.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "respawn.h"

enum { FRONTENDS = 2, BALANCER = 2, ACTS = 4096 };

static const char *const names[] = {"f0", "f1", "b"};
static struct supervisor *supervisor;
static char acts[ACTS]; /* since the last forget() */
static char said[ACTS];
static usec_t now;
static bool starting_fails;

static void note(const char *what, unsigned child)
{
    size_t len = strlen(acts);
    cr_assert_lt(len + 64, sizeof acts);
    snprintf(acts + len, sizeof acts - len, "%s %s ", what, names[child]);
}

static int start(void *context, unsigned child)
{
    (void)context;
    note("start", child);
    return starting_fails ? -EAGAIN : 0;
}

static void send_signal(void *context, unsigned child, int number)
{
    (void)context;
    note(number == SIGTERM ? "term" : number == SIGKILL ? "kill" : "hup", child);
}

static void ask(void *context, enum supervisor_question question, unsigned child)
{
    static const char *const words[] = {
#define X(name) #name "?",
        SUPERVISOR_QUESTIONS(X)
#undef X
    };
    (void)context;
    note(words[question], child);
}

static void say(void *context, const char *text)
{
    (void)context;
    snprintf(said, sizeof said, "%s", text);
}

static void ready(void *context)
{
    (void)context;
    snprintf(acts + strlen(acts), 16, "ready ");
}

static void blame(void *context, unsigned child)
{
    (void)context;
    note("blame", child);
}

static const struct supervisor_acts table = {start, send_signal, ask, say, ready, blame};

static void forget(void)
{
    acts[0] = '\0';
}

#define EXPECT_ACTS(text)                         \
    do {                                          \
        cr_expect_str_eq(acts, text, "%s", acts); \
        forget();                                 \
    } while (0)

static void begin(void)
{
    const struct supervisor_settings settings = {FRONTENDS, names, 10 * USEC_PER_SEC,
                                                 30 * USEC_PER_SEC};
    supervisor = supervisor_new(&settings, &table, NULL);
    cr_assert_not_null(supervisor);
    now = 1000;
}

static void end(void)
{
    supervisor_free(supervisor);
}

TestSuite(supervisor, .init = begin, .fini = end);

static void pass(usec_t time)
{
    now += time;
    supervisor_tick(supervisor, now);
}

/* To the next deadline. */
static void wait_for_it(void)
{
    usec_t deadline = supervisor_deadline(supervisor);
    cr_assert_lt(deadline, USEC_NEVER);
    cr_assert_gt(deadline, now);
    pass(deadline - now);
}

static void serves(unsigned child)
{
    supervisor_serves(supervisor, child, now);
}

static void dies(unsigned child)
{
    supervisor_ended(supervisor, child, false, "was killed by signal 9", now);
}

static void ends(unsigned child)
{
    supervisor_ended(supervisor, child, true, "ended with status 0", now);
}

static void answer(enum supervisor_question question, unsigned child, enum supervisor_reply reply)
{
    supervisor_answered(supervisor, question, child, reply, now);
}

static void run_all(void)
{
    supervisor_begin(supervisor, now);
    serves(0);
    serves(1);
    serves(BALANCER);
    forget();
}

static bool is_over(void)
{
    bool has_failed;
    return supervisor_is_over(supervisor, &has_failed);
}

Test(supervisor, the_balancer_comes_when_all_frontends_serve)
{
    supervisor_begin(supervisor, now);
    EXPECT_ACTS("start f0 start f1 ");
    serves(1);
    EXPECT_ACTS("");
    serves(0);
    EXPECT_ACTS("start b ");
    serves(BALANCER);
    EXPECT_ACTS("ready ");
    cr_expect_eq(supervisor_deadline(supervisor), USEC_NEVER);
}

Test(supervisor, the_balancer_does_not_wait_for_ever)
{
    supervisor_begin(supervisor, now);
    serves(0);
    forget();
    wait_for_it();
    EXPECT_ACTS("start b ");
    serves(BALANCER);
    EXPECT_ACTS("");
    serves(1);
    EXPECT_ACTS("ready ");
}

Test(supervisor, what_dies_is_started_again_after_a_growing_while)
{
    run_all();
    for (int i = 0; i < RESPAWN_ENDS_MAX - 1; i++) {
        dies(1);
        EXPECT_ACTS("");
        cr_expect_eq(supervisor_deadline(supervisor) - now, RESPAWN_DELAY << i);
        wait_for_it();
        EXPECT_ACTS("start f1 ");
        serves(1);
    }
}

Test(supervisor, what_ends_by_itself_is_started_again_too)
{
    run_all();
    ends(BALANCER);
    wait_for_it();
    EXPECT_ACTS("start b ");
}

Test(supervisor, what_keeps_dying_ends_everything)
{
    run_all();
    for (int i = 0; i < RESPAWN_ENDS_MAX - 1; i++) {
        dies(1);
        wait_for_it();
    }
    forget();
    dies(1);
    EXPECT_ACTS("blame f1 term b ");
    cr_expect_not_null(strstr(said, "giving up"));
    ends(BALANCER);
    EXPECT_ACTS("term f0 ");
    ends(0);
    bool has_failed = false;
    cr_expect(supervisor_is_over(supervisor, &has_failed));
    cr_expect(has_failed);
    cr_expect_eq(supervisor_deadline(supervisor), USEC_NEVER);
}

Test(supervisor, what_serves_for_a_while_each_time_is_not_given_up)
{
    run_all();
    for (int i = 0; i < 3 * RESPAWN_ENDS_MAX; i++) {
        pass(RESPAWN_WELL);
        dies(1);
        wait_for_it();
        EXPECT_ACTS("start f1 ");
        serves(1);
    }
}

Test(supervisor, what_cannot_be_started_counts_as_dying)
{
    starting_fails = true;
    supervisor_begin(supervisor, now);
    while (!is_over()) {
        wait_for_it();
    }
    cr_expect_not_null(strstr(acts, "blame f0 "), "%s", acts);
    cr_expect_lt(now, RESPAWN_WINDOW);
}

Test(supervisor, what_does_not_begin_to_serve_is_killed)
{
    run_all();
    dies(0);
    wait_for_it();
    forget();
    wait_for_it();
    EXPECT_ACTS("kill f0 ");
    dies(0);
    wait_for_it();
    EXPECT_ACTS("start f0 ");
}

Test(supervisor, the_end_begins_with_the_balancer)
{
    run_all();
    supervisor_stop(supervisor, now);
    EXPECT_ACTS("term b ");
    ends(BALANCER);
    EXPECT_ACTS("term f0 term f1 ");
    ends(1);
    cr_expect_not(is_over());
    ends(0);
    bool has_failed = true;
    cr_expect(supervisor_is_over(supervisor, &has_failed));
    cr_expect_not(has_failed);
}

Test(supervisor, who_does_not_end_in_time_is_killed)
{
    run_all();
    supervisor_stop(supervisor, now);
    forget();
    pass(30 * USEC_PER_SEC - 1);
    EXPECT_ACTS("");
    pass(1);
    EXPECT_ACTS("kill b ");
    dies(BALANCER);
    EXPECT_ACTS("term f0 term f1 ");
    pass(10 * USEC_PER_SEC);
    EXPECT_ACTS("kill f0 kill f1 ");
}

Test(supervisor, the_second_stop_kills_all)
{
    run_all();
    supervisor_stop(supervisor, now);
    forget();
    supervisor_stop(supervisor, now);
    EXPECT_ACTS("kill f0 kill f1 kill b ");
}

Test(supervisor, nothing_is_started_once_the_end_began)
{
    run_all();
    dies(0);
    supervisor_stop(supervisor, now);
    dies(1);
    EXPECT_ACTS("term b ");
    pass(USEC_PER_SEC);
    EXPECT_ACTS("");
    ends(BALANCER);
    EXPECT_ACTS("");
    cr_expect(is_over());
}

Test(supervisor, a_stop_while_starting_ends_what_was_started)
{
    supervisor_begin(supervisor, now);
    forget();
    supervisor_stop(supervisor, now);
    EXPECT_ACTS("term f0 term f1 ");
    ends(0);
    ends(1);
    cr_expect(is_over());
}

/* ---- Rolling restarts ---- */

static void roll_one(unsigned child)
{
    answer(QUESTION_DRAIN, child, REPLY_YES);
    answer(QUESTION_IDLE, child, REPLY_YES);
    ends(child);
    serves(child);
    answer(QUESTION_HEALTHY, child, REPLY_YES);
    answer(QUESTION_ENABLE, child, REPLY_YES);
    answer(QUESTION_UP, child, REPLY_YES);
}

Test(rolling, frontends_go_one_by_one_and_the_balancer_reloads, .init = begin, .fini = end)
{
    run_all();
    supervisor_roll(supervisor, now);
    EXPECT_ACTS("DRAIN? f0 ");
    roll_one(0);
    EXPECT_ACTS("IDLE? f0 term f0 start f0 HEALTHY? f0 ENABLE? f0 UP? f0 DRAIN? f1 ");
    cr_expect(supervisor_is_rolling(supervisor));
    roll_one(1);
    EXPECT_ACTS("IDLE? f1 term f1 start f1 HEALTHY? f1 ENABLE? f1 UP? f1 hup b ");
    cr_expect_not(supervisor_is_rolling(supervisor));
    cr_expect_eq(supervisor_deadline(supervisor), USEC_NEVER);
}

Test(rolling, a_no_is_asked_again, .init = begin, .fini = end)
{
    run_all();
    supervisor_roll(supervisor, now);
    answer(QUESTION_DRAIN, 0, REPLY_YES);
    forget();
    answer(QUESTION_IDLE, 0, REPLY_NO);
    EXPECT_ACTS("");
    wait_for_it();
    EXPECT_ACTS("IDLE? f0 ");
}

Test(rolling, requests_that_take_long_are_left_to_the_frontend, .init = begin, .fini = end)
{
    run_all();
    supervisor_roll(supervisor, now);
    answer(QUESTION_DRAIN, 0, REPLY_YES);
    for (int i = 0; i < 1000 && strstr(acts, "term f0") == NULL; i++) {
        answer(QUESTION_IDLE, 0, REPLY_NO);
        wait_for_it();
    }
    cr_expect_not_null(strstr(acts, "term f0"));
    cr_expect(supervisor_is_rolling(supervisor));
}

Test(rolling, one_that_stays_sick_ends_it_and_the_others_are_left, .init = begin, .fini = end)
{
    run_all();
    supervisor_roll(supervisor, now);
    answer(QUESTION_DRAIN, 0, REPLY_YES);
    answer(QUESTION_IDLE, 0, REPLY_YES);
    ends(0);
    serves(0);
    forget();
    for (int i = 0; i < 1000 && supervisor_is_rolling(supervisor); i++) {
        answer(QUESTION_HEALTHY, 0, REPLY_NO);
        wait_for_it();
    }
    cr_expect_not(supervisor_is_rolling(supervisor));
    cr_expect_not_null(strstr(said, "aborted at f0: it is not healthy"), "%s", said);
    cr_expect_null(strstr(acts, "f1"));
    cr_expect_not_null(strstr(acts, "ENABLE? f0"));
    cr_expect_null(strstr(acts, "hup"));
}

Test(rolling, one_that_dies_while_starting_ends_it_and_is_started_again, .init = begin, .fini = end)
{
    run_all();
    supervisor_roll(supervisor, now);
    answer(QUESTION_DRAIN, 0, REPLY_YES);
    answer(QUESTION_IDLE, 0, REPLY_YES);
    ends(0);
    forget();
    dies(0);
    EXPECT_ACTS("ENABLE? f0 ");
    cr_expect_not(supervisor_is_rolling(supervisor));
    wait_for_it();
    EXPECT_ACTS("start f0 ");
    answer(QUESTION_ENABLE, 0, REPLY_YES); /* comes late, changes nothing */
    EXPECT_ACTS("");
}

Test(rolling, one_that_keeps_dying_afterwards_does_not_end_the_others, .init = begin, .fini = end)
{
    run_all();
    supervisor_roll(supervisor, now);
    answer(QUESTION_DRAIN, 0, REPLY_YES);
    answer(QUESTION_IDLE, 0, REPLY_YES);
    ends(0);
    for (int i = 0; i < 3 * RESPAWN_ENDS_MAX; i++) {
        dies(0);
        wait_for_it();
    }
    cr_expect_null(strstr(acts, "blame"), "%s", acts);
    cr_expect_null(strstr(acts, "term f1"));
    serves(0); /* the configuration was mended */
    dies(0);
    for (int i = 1; i < RESPAWN_ENDS_MAX && strstr(acts, "blame") == NULL; i++) {
        wait_for_it();
        dies(0);
    }
    cr_expect_not_null(strstr(acts, "blame f0 "), "%s", acts);
}

Test(rolling, one_that_does_not_end_is_killed_and_ends_it, .init = begin, .fini = end)
{
    run_all();
    supervisor_roll(supervisor, now);
    answer(QUESTION_DRAIN, 0, REPLY_YES);
    answer(QUESTION_IDLE, 0, REPLY_YES);
    forget();
    wait_for_it();
    EXPECT_ACTS("kill f0 ");
    dies(0);
    EXPECT_ACTS("ENABLE? f0 start f0 ");
    cr_expect_not(supervisor_is_rolling(supervisor));
}

Test(rolling, another_child_may_die_meanwhile, .init = begin, .fini = end)
{
    run_all();
    supervisor_roll(supervisor, now);
    dies(1);
    cr_expect(supervisor_is_rolling(supervisor));
    roll_one(0);
    cr_expect_not(supervisor_is_rolling(supervisor));
    cr_expect_not_null(strstr(said, "aborted at f1: it does not serve"), "%s", said);
}

Test(rolling, without_a_balancer_nothing_is_drained, .init = begin, .fini = end)
{
    run_all();
    dies(BALANCER);
    supervisor_roll(supervisor, now);
    answer(QUESTION_DRAIN, 0, REPLY_NONE);
    answer(QUESTION_IDLE, 0, REPLY_NONE);
    EXPECT_ACTS("DRAIN? f0 IDLE? f0 term f0 ");
}

Test(rolling, it_waits_until_all_serve, .init = begin, .fini = end)
{
    supervisor_begin(supervisor, now);
    supervisor_roll(supervisor, now);
    cr_expect_not(supervisor_is_rolling(supervisor));
    cr_expect_not_null(strstr(said, "not all serve yet"));
}

Test(rolling, there_is_one_at_a_time, .init = begin, .fini = end)
{
    run_all();
    supervisor_roll(supervisor, now);
    forget();
    supervisor_roll(supervisor, now);
    EXPECT_ACTS("");
    cr_expect_not_null(strstr(said, "already"));
}

Test(rolling, a_stop_ends_it, .init = begin, .fini = end)
{
    run_all();
    supervisor_roll(supervisor, now);
    answer(QUESTION_DRAIN, 0, REPLY_YES);
    answer(QUESTION_IDLE, 0, REPLY_YES);
    forget();
    supervisor_stop(supervisor, now);
    ends(0);
    EXPECT_ACTS("term b ");
    ends(BALANCER);
    EXPECT_ACTS("term f1 ");
    ends(1);
    cr_expect(is_over());
}
