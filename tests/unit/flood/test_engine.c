/* SPDX-License-Identifier: Apache-2.0 */
/* The generator against servers whose behaviour is known: slow ones, and liars. */
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "engine.h"
#include "flood_server.h"
#include "page.h"
#include "target.h"
#include "wire/certificate.h"

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
static bool asks_authority; /* of the server's certificate */

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
    page_forget(&fleet);
    rsa_key_free(fleet.authority);
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
    enum wire_reason reason;
    server = flood_server_start(&options);
    CHECK(!asks_authority ||
          certificate_read_key(flood_server_authority(server), &fleet.authority, &reason) == 0);
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
 * still be under way at the end of the run, or have found no agent that was free. */
static uint64_t told(void)
{
    return results_failed(results) - results_failures(results, STR("unfinished")) -
           results_failures(results, STR("not-started"));
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

enum { TRIES_MAX = 5 };

/* The same plan once more, with a new server. */
static void forget_run(void)
{
    flood_server_stop(server);
    server = NULL;
    page_forget(&fleet);
    rsa_key_free(fleet.authority);
    fleet.authority = NULL;
    results_free(results);
    results = results_new();
    CHECK(results != NULL);
}

/* A machine that stands still leaves polls without an agent or an answer; once in five times every
 * poll must be begun and ended. */
static void run_in_peace(struct flood_server_options options)
{
    run_against(options);
    for (int i = 1; i < TRIES_MAX && results_failed(results) > told(); i++) {
        forget_run();
        run_against(options);
    }
}

static void expect_all_believed(uint64_t planned)
{
    cr_expect_eq(results_failed(results), 0, "%s", results->failures[0].name);
    cr_expect_eq(results->totals.planned, planned);
    cr_expect_eq(results->totals.started, planned);
    cr_expect_eq(results->totals.ok, planned);
}

Test(engine, an_honest_server_is_believed)
{
    run_in_peace((struct flood_server_options){.lie = LIE_NONE});
    expect_all_believed(60);
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
    phase.duration = 3 * USEC_PER_SEC; /* those under way at its end ask no more */
    run_against((struct flood_server_options){.lie = LIE_STRANGER});
    cr_expect_eq(results->totals.enrolments_started, AGENTS);
    cr_expect_eq(results->totals.enrolled, 0);
    cr_expect_eq(results_failures(results, STR("not-enrolled")), told());
    cr_expect_geq(told(), AGENTS);
}

Test(engine, a_certificate_that_nobody_signed_is_told)
{
    asks_authority = true;
    run_against((struct flood_server_options){.lie = LIE_PAGE_SIGNER});
    expect_all("certificate-signature");
}

Test(engine, an_expired_certificate_is_told)
{
    asks_authority = true;
    run_against((struct flood_server_options){.lie = LIE_PAGE_DATES});
    expect_all("certificate-dates");
}

Test(engine, a_serial_number_that_goes_back_is_told)
{
    asks_authority = true;
    run_against((struct flood_server_options){.lie = LIE_PAGE_SERIAL});
    expect_all("certificate-serial");
}

Test(engine, another_servers_certificate_is_told)
{
    asks_authority = true;
    run_against((struct flood_server_options){.lie = LIE_PAGE_KEY});
    expect_all("certificate");
}

Test(engine, what_is_no_certificate_is_told)
{
    run_against((struct flood_server_options){.lie = LIE_PAGE_GARBAGE});
    expect_all("certificate-form");
}

Test(engine, a_renewed_certificate_is_taken)
{
    asks_authority = true;
    run_in_peace((struct flood_server_options){.lie = LIE_PAGE_RENEWED});
    expect_all_believed(60);
}

/* Without an authority the first certificate is believed, and dates and numbers count all the same.
 */
Test(engine, without_an_authority_the_serial_number_counts)
{
    run_against((struct flood_server_options){.lie = LIE_PAGE_SERIAL});
    expect_all("certificate-serial");
}

Test(engine, a_server_of_another_authority_is_not_begun_with)
{
    char url[64];
    struct error error = {.line = 0};
    const struct flood_server_options options = {.identities = identities};
    server = flood_server_start(&options);
    CHECK(rsa_generate(1024, NULL, &fleet.authority) == 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", flood_server_port(server));
    CHECK(target_parse(str_from(url), &target, &error) == 0);
    cr_expect_lt(engine_meet_server(&target, NULL, 5 * USEC_PER_SEC, &fleet, &error), 0);
    cr_expect(strstr(error.message, "not signed by our authority") != NULL, "%s", error.message);
    cr_expect_null(fleet.server);
}

Test(engine, an_expired_first_certificate_leaves_no_server)
{
    struct error error = {.line = 0};
    struct fleet late = {.identities = identities};
    run_against((struct flood_server_options){.lie = LIE_NONE});
    cr_expect_lt(page_meet(&late, fleet.server_pem, fleet.server_until + 1, &error), 0);
    cr_expect_null(late.server);
    page_forget(&late);
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
    phase.duration = 2 * USEC_PER_SEC;
    plan.rate = 40;
    run_in_peace((struct flood_server_options){.lie = LIE_NONE, .asks = true});
    expect_all_believed(80);
    cr_expect_eq(results->totals.requests_delivered, AGENTS);
    cr_expect_eq(results->totals.requests_answered, AGENTS);
    cr_expect_eq(flood_server_messages(server), 2 * AGENTS); /* the echo, the status */
}

/* The last polls of the plan bring requests, and only a poll after them can bring the answers. */
Test(engine, what_agents_owe_at_the_end_is_sent_outside_of_all_figures)
{
    plan.rate = AGENTS; /* one poll for each agent */
    run_in_peace((struct flood_server_options){.lie = LIE_NONE, .asks = true});
    expect_all_believed(AGENTS);
    cr_expect_eq(results->totals.requests_delivered, AGENTS);
    cr_expect_eq(results->totals.requests_answered, AGENTS);
    cr_expect_eq(results->totals.messages_owed, 0);
    cr_expect_geq(results->totals.closing_polls, 1);
    cr_expect_eq(histogram_count(&results->latency), AGENTS);
    cr_expect_eq(histogram_count(&results->lateness), AGENTS);
}

Test(engine, what_is_owed_to_a_server_that_fails_is_told)
{
    plan.grace = USEC_PER_SEC / 2;
    group.messages_per_poll = 1;
    run_against((struct flood_server_options){.lie = LIE_REFUSAL});
    cr_expect_gt(results->totals.messages_sent, 0);
    cr_expect_eq(results->totals.messages_acknowledged, 0);
    cr_expect_eq(results->totals.messages_owed, results->totals.messages_sent);
    cr_expect_eq(results->totals.ok, 0);
}

/* Other threads have agents in hand while the end looks for those that owe something (which once
 * looked at all: ThreadSanitizer tells). */
Test(engine, large_messages_are_being_written_when_the_plan_ends)
{
    phase.duration = USEC_PER_SEC / 2;
    plan.rate = 400;
    plan.grace = USEC_PER_SEC;
    group.messages_per_poll = 1;
    group.sizes[0].bytes = 1 << 19;
    run_against((struct flood_server_options){.lie = LIE_REFUSAL});
    expect_all("http-503");
    cr_expect_gt(results->totals.messages_sent, 0);
    cr_expect_eq(results->totals.messages_acknowledged, 0);
}

/* One agent, whose poll takes longer than its phase: the others had nobody. */
Test(engine, polls_that_found_no_agent_are_told_apart_from_those_under_way)
{
    plan.agents = 1;
    plan.rate = 10;
    plan.grace = USEC_PER_SEC / 10;
    run_against((struct flood_server_options){.lie = LIE_NONE, .delay = 3 * USEC_PER_SEC});
    cr_expect_eq(results_failures(results, STR("unfinished")), 1);
    cr_expect_eq(results->totals.unfinished, 1);
    cr_expect_eq(results_failures(results, STR("not-started")), 9);
    cr_expect_eq(results->totals.not_started, 9);
}

/* Again and again, as the first may come before the plan is over, and end that. */
static void *interrupt(void *is_done)
{
    const struct timespec pause = {.tv_nsec = 300 * 1000 * 1000};
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    while (!atomic_load((atomic_bool *)is_done)) {
        kill(getpid(), SIGTERM);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

Test(engine, a_signal_ends_the_waiting_at_the_end)
{
    atomic_bool is_done = false;
    pthread_t thread;
    plan.agents = 2;
    plan.rate = 10;
    plan.grace = plan.timeout = 60 * USEC_PER_SEC;
    phase.duration = 300 * USEC_PER_MSEC;
    signal(SIGTERM, SIG_IGN); /* outside of the run */
    CHECK(pthread_create(&thread, NULL, interrupt, &is_done) == 0);
    run_against((struct flood_server_options){.lie = LIE_NONE, .delay = 4 * USEC_PER_SEC});
    is_done = true;
    pthread_join(thread, NULL);
    cr_expect(engine_was_interrupted());
    cr_expect_eq(results->totals.unfinished, 2);
    cr_expect_eq(results->totals.ok, 0);
}

/* Of such a line even the head of an answer comes in many steps. */
Test(engine, an_agent_with_a_bad_line_gets_its_answer)
{
    plan.agents = 2;
    plan.rate = 2;
    plan.grace = 30 * USEC_PER_SEC;
    plan.timeout = 30 * USEC_PER_SEC;
    group.bytes_per_second = 700;
    run_in_peace((struct flood_server_options){.lie = LIE_NONE});
    expect_all_believed(2);
}

Test(engine, messages_are_sent_as_often_as_was_asked_for)
{
    group.messages_per_poll = 2;
    run_in_peace((struct flood_server_options){.lie = LIE_NONE});
    expect_all_believed(60);
    cr_expect_eq(results->totals.messages_sent, 120);
    cr_expect_eq(results->totals.messages_acknowledged, 120);
    cr_expect_eq(flood_server_messages(server), 120);
}

static bool is_close(double seen, double truth)
{
    return fabs(seen - truth) <= 0.01 * truth;
}

/* A machine that stops both sides for longer than a hundredth says nothing of the generator, which
 * needs to be exact once in five times. */
Test(engine, known_delays_are_measured_within_one_percent)
{
    bool is_exact = false;
    double mean = 0, true_mean = 0, median = 0, true_median = 0;
    phase.duration = 2 * USEC_PER_SEC;
    plan.rate = 20;
    for (int i = 0; i < TRIES_MAX && !is_exact; i++) {
        if (i > 0) {
            forget_run();
        }
        run_against((struct flood_server_options){.lie = LIE_NONE, .delay = 400 * USEC_PER_MSEC});
        const struct histogram *truth = flood_server_delays(server);
        cr_assert_eq(told(), 0);
        mean = histogram_mean(&results->service);
        true_mean = histogram_mean(truth);
        median = (double)histogram_quantile(&results->service, 0.5);
        true_median = (double)histogram_quantile(truth, 0.5);
        is_exact = results->totals.ok == 40 && histogram_count(truth) == 40 &&
                   is_close(mean, true_mean) && is_close(median, true_median);
    }
    cr_expect(is_exact, "mean %.0f us seen, %.0f were it; median %.0f us seen, %.0f were it", mean,
              true_mean, median, true_median);
}

Test(engine, latency_counts_from_when_a_poll_was_due)
{
    plan.agents = 1;
    plan.rate = 0;
    plan.period = 50 * USEC_PER_MSEC;
    phase.duration = 2 * USEC_PER_SEC;
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

static void record_late(usec_t late, usec_t latency)
{
    for (int i = 0; i < 100; i++) {
        histogram_record(&results->lateness, i < 98 ? 10 : late);
        histogram_record(&results->latency, i < 98 ? 500 : latency);
    }
    engine_judge(results);
}

Test(engine, lateness_that_latency_dwarfs_does_no_harm)
{
    record_late(5 * USEC_PER_MSEC, 60 * USEC_PER_MSEC);
    cr_expect(results->is_valid, "%s", results->invalid_reason);
}

Test(engine, lateness_that_is_much_of_the_latency_does)
{
    record_late(5 * USEC_PER_MSEC, 40 * USEC_PER_MSEC);
    cr_expect(!results->is_valid);
    cr_expect(strstr(results->invalid_reason, "5.0 ms") != NULL, "%s", results->invalid_reason);
}

Test(engine, a_millisecond_never_does)
{
    record_late(990, USEC_PER_MSEC);
    cr_expect(results->is_valid, "%s", results->invalid_reason);
}

Test(engine, a_generator_in_time_is)
{
    for (int i = 0; i < 1000; i++) {
        histogram_record(&results->lateness, i < 995 ? 900 : 5000);
    }
    engine_judge(results);
    cr_expect(results->is_valid, "%s", results->invalid_reason);
}
