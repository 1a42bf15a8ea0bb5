/* SPDX-License-Identifier: Apache-2.0 */
#include "reaction.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "results.h"

static struct results *results;
static struct reaction list[3];

static void begin(void)
{
    results = results_new();
    CHECK(results != NULL);
}

static void end(void)
{
    results_free(results);
}

TestSuite(reaction, .init = begin, .fini = end, .timeout = 60);

/* Run `command` at an event and wait for it. */
static const struct event_outcome *outcome_of(const char *command, usec_t patience)
{
    list[0] = (struct reaction){.event = EVENT_KILL_INSTANCE, .command = command};
    struct reactions *reactions = reactions_new(list, 1, NULL, results);
    CHECK(reactions != NULL);
    reactions_begin(reactions, EVENT_KILL_INSTANCE, 7 * USEC_PER_SEC);
    reactions_end(reactions, patience);
    cr_assert_eq(results->event_count, 1);
    return &results->events[0];
}

Test(reaction, a_command_that_ends_with_0_is_well)
{
    const struct event_outcome *outcome = outcome_of("true", 30 * USEC_PER_SEC);
    cr_expect(outcome->is_well);
    cr_expect_str_eq(outcome->event, "kill-instance");
    cr_expect_str_eq(outcome->command, "true");
    cr_expect_str_eq(outcome->outcome, "ended with status 0");
    cr_expect_eq(outcome->at, 7 * USEC_PER_SEC);
    cr_expect(results_events_are_well(results));
}

Test(reaction, another_status_is_told)
{
    const struct event_outcome *outcome = outcome_of("false", 30 * USEC_PER_SEC);
    cr_expect_not(outcome->is_well);
    cr_expect_str_eq(outcome->outcome, "ended with status 1");
    cr_expect_not(results_events_are_well(results));
}

Test(reaction, what_does_not_exist_is_told)
{
    const struct event_outcome *outcome = outcome_of("/nowhere/at/all", 30 * USEC_PER_SEC);
    cr_expect_not(outcome->is_well);
    cr_expect_str_eq(outcome->outcome, "cannot be run: No such file or directory");
}

Test(reaction, nothing_is_no_command)
{
    cr_expect_not(outcome_of("  ", 30 * USEC_PER_SEC)->is_well);
}

Test(reaction, words_mean_themselves)
{
    cr_expect(outcome_of("test  ;$HOME* = ;$HOME* ", 30 * USEC_PER_SEC)->is_well);
}

Test(reaction, what_outlives_the_run_is_killed)
{
    const struct event_outcome *outcome = outcome_of("sleep 1000", 50 * USEC_PER_MSEC);
    cr_expect_not(outcome->is_well);
    cr_expect_str_eq(outcome->outcome, "had not ended after the run, and was killed");
}

Test(reaction, each_event_has_its_commands)
{
    list[0] = (struct reaction){.event = EVENT_SLOW_INSTANCE, .command = "true"};
    list[1] = (struct reaction){.event = EVENT_INSTANCE_RECOVERS, .command = "true 2"};
    list[2] = (struct reaction){.event = EVENT_SLOW_INSTANCE, .command = "true 3"};
    struct reactions *reactions = reactions_new(list, 3, NULL, results);
    CHECK(reactions != NULL);
    reactions_begin(reactions, EVENT_SLOW_INSTANCE, 0);
    cr_expect_eq(results->event_count, 2);
    cr_expect_str_eq(results->events[1].command, "true 3");
    reactions_begin(reactions, EVENT_INSTANCE_RECOVERS, 0);
    reactions_begin(reactions, EVENT_ROLLING_RESTART, 0);
    reactions_end(reactions, 30 * USEC_PER_SEC);
    cr_expect_eq(results->event_count, 3);
    cr_expect(results_events_are_well(results));
}

Test(reaction, what_the_run_did_not_come_to_is_told)
{
    list[0] = (struct reaction){.event = EVENT_INSTANCE_RECOVERS, .command = "true"};
    struct reactions *reactions = reactions_new(list, 1, NULL, results);
    CHECK(reactions != NULL);
    reactions_miss(reactions, EVENT_SLOW_INSTANCE, 3 * USEC_PER_SEC);
    reactions_miss(reactions, EVENT_INSTANCE_RECOVERS, 7 * USEC_PER_SEC);
    reactions_end(reactions, 0);
    cr_assert_eq(results->event_count, 1);
    cr_expect_not(results->events[0].is_well);
    cr_expect_str_eq(results->events[0].outcome, "was not run: the run ended before");
    cr_expect_eq(results->events[0].at, 7 * USEC_PER_SEC);
}
