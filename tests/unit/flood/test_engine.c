/* SPDX-License-Identifier: Apache-2.0 */
/* The generator against servers whose behaviour is known: slow ones, and liars. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "engine.h"
#include "flood_server.h"
#include "target.h"

enum { AGENTS = 12 };

static struct identities *identities;
static struct flood_server *server;
static struct results *results;
static struct target target;
static struct fleet fleet;
static struct scenario_group group;
static struct scenario_phase phase;
static struct scenario scenario;
static struct run_plan plan;

static void set_up(void)
{
    CHECK(identities_make(AGENTS, 2, &identities, NULL) == 0);
    results = results_new();
    CHECK(results != NULL);
    group = (struct scenario_group){.name = "all",
                                    .share = 1,
                                    .timing = TIMING_DEFAULT,
                                    .poll = {.min = 200000, .max = 600000000, .slew = 1.15},
                                    .sizes = {{.bytes = 64, .share = 1}},
                                    .size_count = 1};
    phase = (struct scenario_phase){
        .name = "all", .duration = USEC_PER_SEC, .groups = &group, .group_count = 1};
    scenario = (struct scenario){.name = "", .phases = &phase, .phase_count = 1};
    fleet = (struct fleet){.identities = identities, .run = 7};
    plan = (struct run_plan){.fleet = &fleet,
                             .target = &target,
                             .scenario = &scenario,
                             .agents = AGENTS,
                             .threads = 1,
                             .seed = 3,
                             .rate = 60,
                             .timeout = 10 * USEC_PER_SEC,
                             .grace = 5 * USEC_PER_SEC,
                             .connections_max = 64,
                             .resumes = true};
}

static void tear_down(void)
{
    if (server != NULL) {
        flood_server_stop(server);
    }
    engine_forget_server(&fleet);
    results_free(results);
    identities_free(identities);
}

TestSuite(engine, .init = set_up, .fini = tear_down, .timeout = 60);

static void run_against(struct flood_server_options options)
{
    static const struct engine_watch nobody;
    char url[64];
    struct error error = {.line = 0};
    options.identities = identities;
    server = flood_server_start(&options);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", flood_server_port(server));
    CHECK(target_parse(str_from(url), &target, &error) == 0);
    CHECK(engine_meet_server(&target, NULL, 5 * USEC_PER_SEC, &fleet, &error) == 0);
    scenario.duration = 0;
    for (size_t i = 0; i < scenario.phase_count; i++) {
        scenario.duration += scenario.phases[i].duration;
    }
    CHECK(engine_run(&plan, &nobody, results, &error) == 0);
}

/* Failures that say something of the server. On a busy machine, or under a sanitizer, a poll may
 * still be under way at the end of the run. */
static uint64_t told(void)
{
    return results_failed(results) - results_failures(results, STR("unfinished"));
}

/* Every poll failed, and for that reason alone. */
static void expect_all(const char *fault)
{
    cr_expect_gt(told(), 0);
    cr_expect_eq(results->totals.ok, 0, "%llu were believed",
                 (unsigned long long)results->totals.ok);
    cr_expect_eq(results_failures(results, str_from(fault)), told(), "%s is counted as %s", fault,
                 results->failures[0].name);
}

Test(engine, an_honest_server_is_believed)
{
    run_against((struct flood_server_options){.lie = LIE_NONE});
    cr_expect_eq(results_failed(results), 0, "%s", results->failures[0].name);
    cr_expect_eq(results->totals.ok, 60);
    cr_expect_eq(results->totals.planned, 60);
    cr_expect_eq(results->totals.started, 60);
    cr_expect_eq(results->totals.enrolled, AGENTS);
    cr_expect_eq(histogram_count(&results->latency), 60);
}

Test(engine, phases_are_told_apart)
{
    struct scenario_phase both[] = {phase, phase};
    both[0].name = "warm-up";
    both[0].is_unmeasured = true;
    both[0].duration = 700 * USEC_PER_MSEC; /* ends within a second */
    scenario.phases = both;
    scenario.phase_count = 2;
    run_against((struct flood_server_options){.lie = LIE_NONE});
    cr_assert_eq(results->phase_count, 2);
    cr_expect_str_eq(results->phases[0].name, "warm-up");
    cr_expect_gt(results->phases[0].ok, 0);
    cr_expect_geq(results->phases[1].begin, both[0].duration);
    cr_expect_lt(results->phases[1].begin, both[0].duration + 500 * USEC_PER_MSEC);
    cr_expect_eq(results->phases[0].ok + results->phases[1].ok, results->totals.ok);
    cr_expect_eq(histogram_count(&results->latency), results->phases[1].ok);
    cr_expect_gt(results->phases[1].cpu, 0);
}

Test(engine, an_answer_to_another_poll_is_a_wrong_nonce)
{
    run_against((struct flood_server_options){.lie = LIE_NONCE});
    expect_all("wrong-nonce");
}

Test(engine, a_cipher_of_somebody_else_is_a_bad_signature)
{
    run_against((struct flood_server_options){.lie = LIE_SIGNATURE});
    expect_all("bad-signature");
}

Test(engine, an_hmac_that_does_not_fit_is_told)
{
    run_against((struct flood_server_options){.lie = LIE_HMAC});
    expect_all("bad-hmac");
}

Test(engine, an_answer_that_comes_again_is_replayed)
{
    run_against((struct flood_server_options){.lie = LIE_REPLAY});
    cr_expect_eq(results->totals.ok, AGENTS);
    /* The poll behind the first one sees its answer again, later ones that of a poll long ago. */
    cr_expect_gt(results_failures(results, STR("replayed")), 0);
    cr_expect_leq(results_failures(results, STR("replayed")), AGENTS);
    cr_expect_eq(results_failures(results, STR("replayed")) +
                     results_failures(results, STR("wrong-nonce")),
                 told());
}

Test(engine, an_answer_that_ends_early_is_truncated)
{
    run_against((struct flood_server_options){.lie = LIE_CUT});
    expect_all("truncated");
}

Test(engine, an_answer_of_another_server_is_a_wrong_source)
{
    run_against((struct flood_server_options){.lie = LIE_SOURCE});
    expect_all("wrong-source");
}

Test(engine, what_is_no_packet_is_undecodable)
{
    run_against((struct flood_server_options){.lie = LIE_GARBAGE});
    expect_all("undecodable");
}

Test(engine, a_status_is_its_own_reason)
{
    run_against((struct flood_server_options){.lie = LIE_REFUSAL});
    expect_all("http-503");
}

Test(engine, being_refused_after_the_signing_request_is_a_failure)
{
    run_against((struct flood_server_options){.lie = LIE_STRANGER});
    cr_expect_eq(results->totals.enrolments_started, AGENTS);
    cr_expect_eq(results->totals.enrolled, 0);
    cr_expect_eq(results_failures(results, STR("not-enrolled")), results_failed(results));
    cr_expect_geq(results_failed(results), AGENTS);
}

Test(engine, nobody_there_is_a_refused_connection)
{
    run_against((struct flood_server_options){.lie = LIE_NONE});
    flood_server_stop(server);
    server = NULL;
    results_free(results);
    results = results_new();
    static const struct engine_watch nobody;
    CHECK(engine_run(&plan, &nobody, results, NULL) == 0);
    expect_all("connect-refused");
}

Test(engine, requests_are_executed_and_answered)
{
    plan.rate = 80;
    run_against((struct flood_server_options){.lie = LIE_NONE, .asks = true});
    cr_expect_eq(results_failed(results), 0, "%s", results->failures[0].name);
    cr_expect_eq(results->totals.requests_delivered, AGENTS);
    cr_expect_eq(results->totals.requests_answered, AGENTS);
    cr_expect_eq(flood_server_messages(server), 2 * AGENTS); /* the echo, the status */
}

Test(engine, messages_are_sent_as_often_as_was_asked_for)
{
    group.messages_per_poll = 2;
    run_against((struct flood_server_options){.lie = LIE_NONE});
    cr_expect_eq(results->totals.messages_sent, 120);
    cr_expect_eq(results->totals.messages_acknowledged, 120);
    cr_expect_eq(flood_server_messages(server), 120);
}

static void expect_close(double seen, double truth, const char *what)
{
    cr_expect(fabs(seen - truth) <= 0.01 * truth, "%s: %.0f us seen, %.0f us were it", what, seen,
              truth);
}

Test(engine, known_delays_are_measured_within_one_percent)
{
    phase.duration = 2 * USEC_PER_SEC;
    plan.rate = 20;
    run_against((struct flood_server_options){.lie = LIE_NONE, .delay = 400 * USEC_PER_MSEC});
    const struct histogram *truth = flood_server_delays(server);
    cr_assert_eq(results->totals.ok, 40);
    cr_expect_eq(histogram_count(truth), 40);
    expect_close(histogram_mean(&results->service), histogram_mean(truth), "mean");
    expect_close((double)histogram_quantile(&results->service, 0.5),
                 (double)histogram_quantile(truth, 0.5), "median");
}

Test(engine, latency_counts_from_when_a_poll_was_due)
{
    plan.agents = 1;
    plan.rate = 0;
    plan.period = 50 * USEC_PER_MSEC;
    phase.start = START_TOGETHER;
    run_against((struct flood_server_options){.lie = LIE_NONE, .first_delay = 500 * USEC_PER_MSEC});
    /* Ten polls came due while the agent waited: each was late by what was left of that. */
    uint64_t count = histogram_count(&results->latency);
    uint64_t slow = count - histogram_count_to(&results->latency, 100 * USEC_PER_MSEC);
    cr_expect_geq(slow, 7, "%llu of %llu", (unsigned long long)slow, (unsigned long long)count);
    /* That the agent was not free is no fault of the generator's. */
    cr_expect_lt(histogram_quantile(&results->lateness, 0.5), 50 * USEC_PER_MSEC);
}

Test(engine, a_rate_is_planned_exactly)
{
    plan.rate = 33;
    run_against((struct flood_server_options){.lie = LIE_NONE});
    cr_expect_eq(results->totals.planned, 33);
}

Test(engine, a_generator_that_is_late_is_no_judge)
{
    for (int i = 0; i < 100; i++) {
        histogram_record(&results->lateness, i < 98 ? 10 : 1500);
    }
    engine_judge(results);
    cr_expect(!results->is_valid);
    cr_expect(strstr(results->invalid_reason, "late") != NULL, "%s", results->invalid_reason);
}

Test(engine, a_generator_in_time_is)
{
    for (int i = 0; i < 1000; i++) {
        histogram_record(&results->lateness, i < 995 ? 900 : 5000);
    }
    engine_judge(results);
    cr_expect(results->is_valid, "%s", results->invalid_reason);
}
