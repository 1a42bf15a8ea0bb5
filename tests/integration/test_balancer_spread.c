/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets which request: exactly in turn, over connections and workers, while members come and go
 * and while an administrator has wishes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/http_client.h"
#include "support/load.h"
#include "support/support.h"

enum { MEMBERS = 4, EACH = 100 };

/* max - min over the members from `first` on. */
static unsigned unevenness(struct backends *backends, unsigned members)
{
    unsigned least = UINT32_MAX;
    unsigned most = 0;
    for (unsigned i = 0; i < members; i++) {
        unsigned requests = backend_requests(backends_at(backends, i));
        least = requests < least ? requests : least;
        most = requests > most ? requests : most;
    }
    return most - least;
}

static void spread(unsigned workers, unsigned threads, bool closes)
{
    struct balancer_process balancer;
    struct backends *backends = backends_new(MEMBERS, false);
    recorder_keep(backends_recorder(backends), false);
    balancer_init(&balancer, backends);
    balancer_set(&balancer, "Balancer.threads=%u", workers);
    balancer_start_with(&balancer, MEMBERS);
    const struct load_plan plan = {
        .port = balancer.port,
        .threads = threads,
        .method = "GET",
        .path = "/x",
        .closes = closes,
        .limit = EACH * MEMBERS / threads,
    };
    struct load_result result = load_finish(load_start(&plan));
    cr_assert_eq(result.answered, EACH * MEMBERS);
    cr_assert_leq(
        unevenness(backends, MEMBERS), 1, "%u %u %u %u", backend_requests(backends_at(backends, 0)),
        backend_requests(backends_at(backends, 1)), backend_requests(backends_at(backends, 2)),
        backend_requests(backends_at(backends, 3)));
    balancer_done(&balancer);
    backends_free(backends);
}

Test(balancer_spread, is_exact_on_one_kept_connection)
{
    spread(1, 1, false);
}

Test(balancer_spread, is_exact_over_kept_connections_and_workers)
{
    spread(2, 8, false);
    spread(4, 8, false);
}

Test(balancer_spread, is_exact_over_new_connections_and_workers)
{
    spread(1, 4, true);
    spread(4, 8, true);
}

/* ---- Coming and going ---- */

static struct load *poll_on(uint16_t port)
{
    const struct load_plan plan = {.port = port,
                                   .threads = 2,
                                   .method = "POST",
                                   .path = "/control?api=3",
                                   .body_bytes = 100,
                                   .pause = 1000};
    return load_start(&plan);
}

static bool await_requests(const struct backend *backend, unsigned more, usec_t patience)
{
    unsigned before = backend_requests(backend);
    usec_t deadline = clock_monotonic(&clock_system) + patience;
    while (backend_requests(backend) < before + more) {
        if (clock_monotonic(&clock_system) > deadline) {
            return false;
        }
        sleep_for(5000);
    }
    return true;
}

Test(balancer_spread, takes_a_newcomer_within_a_second_and_lets_it_go_without_a_failure)
{
    struct balancer_process balancer;
    struct backends *backends = backends_new(MEMBERS, false);
    struct backend *guest = backends_at(backends, MEMBERS - 1);
    recorder_keep(backends_recorder(backends), false);
    backend_die(guest);
    balancer_init(&balancer, backends);
    balancer_start_with(&balancer, MEMBERS - 1);
    struct load *load = poll_on(balancer.port);
    for (unsigned i = 0; i < 3; i++) {
        backend_live(guest);
        usec_t start = clock_monotonic(&clock_system);
        cr_assert(await_requests(guest, 1, 5 * USEC_PER_SEC), "the newcomer gets nothing");
        usec_t took = clock_monotonic(&clock_system) - start;
        /* A second, and some more for a machine that is busy with other tests. */
        cr_assert_lt(took, 1500 * USEC_PER_MSEC, "%lld us", (long long)took);
        backend_die(guest);
        sleep_for(300 * USEC_PER_MSEC);
    }
    struct load_result result = load_stop(load);
    load_tell("a member that comes and goes", &result);
    cr_assert_eq(result.answered, result.sent);
    balancer_done(&balancer);
    backends_free(backends);
}

Test(balancer_spread, waits_for_the_first_member_that_comes_at_all)
{
    struct balancer_process balancer;
    struct http_answer answer;
    struct backends *backends = backends_new(2, true);
    balancer_init(&balancer, backends);
    balancer_start(&balancer);
    cr_assert_eq(http_once(balancer.port, "GET", "/x", NULL, &answer), 503);
    cr_assert_str_eq(http_field(&answer, "X-Portico-Reason"), "no_member");
    cr_assert_gt(atoi(http_field(&answer, "Retry-After")), 0, "%s", answer.head);
    http_answer_done(&answer);
    backend_live(backends_at(backends, 1));
    cr_assert(balancer_await_members(&balancer, 1, 2 * USEC_PER_SEC));
    cr_assert_eq(http_once(balancer.port, "GET", "/x", NULL, NULL), 200);
    balancer_done(&balancer);
    backends_free(backends);
}

/* ---- The administrator ---- */

static void command(struct balancer_process *balancer, const char *verb, uint16_t port)
{
    char text[64];
    snprintf(text, sizeof text, "%s %u", verb, port);
    free(balancer_command(balancer, text));
}

static unsigned requests_during(struct backend *backend, struct load *load, uint64_t answers)
{
    unsigned before = backend_requests(backend);
    uint64_t goal = load_answered(load) + answers;
    for (unsigned i = 0; load_answered(load) < goal && i < 4000; i++) {
        sleep_for(5000);
    }
    return backend_requests(backend) - before;
}

static void assert_obeys(const char *verb)
{
    struct balancer_process balancer;
    struct backends *backends = backends_new(MEMBERS, false);
    struct backend *one = backends_at(backends, 1);
    recorder_keep(backends_recorder(backends), false);
    balancer_init(&balancer, backends);
    balancer_start_with(&balancer, MEMBERS);
    struct load *load = poll_on(balancer.port);
    cr_assert_gt(requests_during(one, load, 100), 0);
    uint16_t port = (uint16_t)(backends_first_port(backends) + 1);
    command(&balancer, verb, port);
    sleep_for(100 * USEC_PER_MSEC); /* what was chosen before */
    cr_assert_eq(requests_during(one, load, 200), 0, "after %s it gets requests", verb);
    command(&balancer, "enable", port);
    sleep_for(100 * USEC_PER_MSEC);
    cr_assert(await_requests(one, 1, 3 * USEC_PER_SEC), "enabled, it gets none");
    struct load_result result = load_stop(load);
    load_tell(verb, &result);
    cr_assert_eq(result.answered, result.sent);
    balancer_done(&balancer);
    backends_free(backends);
}

Test(balancer_spread, leaves_out_a_drained_member_until_it_is_enabled)
{
    assert_obeys("drain");
}

Test(balancer_spread, leaves_out_a_disabled_member_until_it_is_enabled)
{
    assert_obeys("disable");
}

/* ---- The other algorithm ---- */

Test(balancer_spread, least_avoids_a_slow_member)
{
    struct balancer_process balancer;
    struct backends *backends = backends_new(2, false);
    struct backend *slow = backends_at(backends, 0);
    recorder_keep(backends_recorder(backends), false);
    backend_delay(slow, 200 * USEC_PER_MSEC);
    backend_delay(backends_at(backends, 1), 2 * USEC_PER_MSEC);
    balancer_init(&balancer, backends);
    balancer_set(&balancer, "Balancer.algorithm=least");
    balancer_start_with(&balancer, 2);
    const struct load_plan plan = {
        .port = balancer.port, .threads = 4, .method = "GET", .path = "/x", .limit = 100};
    struct load_result result = load_finish(load_start(&plan));
    cr_assert_eq(result.answered, 400);
    cr_assert_lt(backend_requests(slow) * 4, backend_requests(backends_at(backends, 1)),
                 "the slow one got %u", backend_requests(slow));
    balancer_done(&balancer);
    backends_free(backends);
}
