/* SPDX-License-Identifier: Apache-2.0 */
/* One of several members fails in some way, under load. No poll and no GET may fail because of it;
 * no other POST may arrive twice. The longest stall is told on standard error. BALANCER_KILLS=100
 * in the environment kills more often. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/http_client.h"
#include "support/load.h"
#include "support/support.h"

enum { MEMBERS = 3, POLLERS = 4, SECOND_LOAD = TAG_NUMBERS / 2 };

#define PERIOD (1500 * USEC_PER_MSEC)

struct scene {
    struct backends *backends;
    struct backend *bad;
    struct balancer_process balancer;
    struct load *polls, *others;
};

static void begin(struct scene *scene, const char *parameter)
{
    *scene = (struct scene){.backends = backends_new(MEMBERS, false)};
    scene->bad = backends_at(scene->backends, 1);
    recorder_keep(backends_recorder(scene->backends), false);
    balancer_init(&scene->balancer, scene->backends);
    if (parameter != NULL) {
        balancer_set(&scene->balancer, "%s", parameter);
    }
    balancer_start_with(&scene->balancer, MEMBERS);
}

/* Polls and a second kind of request at the same time. */
static void load(struct scene *scene, const char *method, const char *path)
{
    const struct load_plan polls = {.port = scene->balancer.port,
                                    .threads = POLLERS,
                                    .method = "POST",
                                    .path = "/control?api=3",
                                    .body_bytes = 1000,
                                    .pause = 2000};
    const struct load_plan others = {.port = scene->balancer.port,
                                     .threads = POLLERS,
                                     .method = method,
                                     .path = path,
                                     .body_bytes = 500,
                                     .pause = 2000,
                                     .first_number = SECOND_LOAD};
    scene->polls = load_start(&polls);
    scene->others = load_start(&others);
}

static void assert_all_answered(const char *what, const struct load_result *result)
{
    load_tell(what, result);
    cr_assert_gt(result->sent, 0);
    cr_assert_eq(result->foreign, 0, "%s: another request's answer", what);
    cr_assert_eq(result->answered, result->sent, "%s: %llu of %llu answered", what,
                 (unsigned long long)result->answered, (unsigned long long)result->sent);
}

static void end(struct scene *scene)
{
    char *complaints = recorder_complaints(backends_recorder(scene->backends));
    cr_assert_str_eq(complaints, "");
    free(complaints);
    cr_assert(process_is_alive(&scene->balancer.process));
    balancer_done(&scene->balancer);
    backends_free(scene->backends);
}

/* One member behaves, polls and GETs go on; all are answered. */
static void survive(enum backend_behaviour behaviour, const char *name, const char *parameter)
{
    struct scene scene;
    begin(&scene, parameter);
    load(&scene, "GET", "/x");
    sleep_for(PERIOD / 5);
    backend_behave(scene.bad, behaviour);
    sleep_for(PERIOD);
    backend_behave(scene.bad, BACKEND_NORMAL);
    sleep_for(PERIOD / 5);
    struct load_result polls = load_stop(scene.polls);
    struct load_result gets = load_stop(scene.others);
    char what[64];
    snprintf(what, sizeof what, "%s, polls", name);
    assert_all_answered(what, &polls);
    snprintf(what, sizeof what, "%s, GETs", name);
    assert_all_answered(what, &gets);
    end(&scene);
}

Test(balancer_failures, no_poll_fails_when_a_member_resets_new_connections)
{
    survive(BACKEND_RESET_ACCEPT, "reset at accept", NULL);
}

Test(balancer_failures, no_poll_fails_when_a_member_resets_behind_requests)
{
    survive(BACKEND_RESET_HEAD, "reset behind the request", NULL);
}

Test(balancer_failures, no_poll_fails_when_a_member_closes_behind_requests)
{
    survive(BACKEND_CLOSE_HEAD, "closed behind the request", NULL);
}

/* What a silent member has in its hands ends at the response deadline, for nobody knows whether it
 * was worked on; everybody else is served. */
Test(balancer_failures, a_member_that_hangs_costs_only_what_it_holds)
{
    struct scene scene;
    begin(&scene, "Balancer.response_timeout=300ms");
    load(&scene, "GET", "/x");
    sleep_for(PERIOD / 5);
    backend_behave(scene.bad, BACKEND_HANG);
    sleep_for(PERIOD);
    struct load_result polls = load_stop(scene.polls);
    struct load_result gets = load_stop(scene.others);
    load_tell("hang, polls", &polls);
    load_tell("hang, GETs", &gets);
    cr_assert_eq(polls.answered + polls.statuses[504], polls.sent);
    cr_assert_eq(gets.answered + gets.statuses[504], gets.sent);
    cr_assert_leq(polls.statuses[504] + gets.statuses[504], 4 * POLLERS);
    end(&scene);
}

Test(balancer_failures, no_poll_fails_when_a_member_closes_unannounced_behind_answers)
{
    survive(BACKEND_CLOSE_AFTER, "close behind the answer", NULL);
}

Test(balancer_failures, no_poll_fails_in_the_race_of_keep_alive)
{
    survive(BACKEND_CLOSE_NEXT, "close when the next comes", NULL);
}

Test(balancer_failures, no_poll_fails_when_a_member_sends_more_than_it_said)
{
    survive(BACKEND_LONG, "bytes behind the answer", NULL);
}

Test(balancer_failures, no_poll_fails_when_a_member_answers_early)
{
    survive(BACKEND_EARLY, "early answers", NULL);
}

Test(balancer_failures, no_poll_fails_when_a_member_answers_in_all_other_ways)
{
    survive(BACKEND_CHUNKED, "chunked", NULL);
    survive(BACKEND_UNTIL_CLOSE, "until close", NULL);
    survive(BACKEND_INTERIM, "interim", NULL);
}

/* A lie about the length shows when the answer has begun: that answer is cut, never completed by
 * something else, and nobody else is hurt. */
static void contain(enum backend_behaviour behaviour, const char *name)
{
    struct scene scene;
    begin(&scene, NULL);
    load(&scene, "GET", "/x");
    sleep_for(PERIOD / 5);
    backend_behave(scene.bad, behaviour);
    sleep_for(PERIOD / 2);
    backend_behave(scene.bad, BACKEND_NORMAL);
    sleep_for(PERIOD / 5);
    struct load_result polls = load_stop(scene.polls);
    struct load_result gets = load_stop(scene.others);
    load_tell(name, &polls);
    load_tell(name, &gets);
    cr_assert_eq(polls.foreign + gets.foreign, 0);
    cr_assert_gt(polls.answered * 2, polls.sent);
    cr_assert_eq(polls.answered + polls.failed + polls.statuses[502], polls.sent);
    end(&scene);
}

Test(balancer_failures, an_answer_that_is_cut_short_hurts_nobody_else)
{
    contain(BACKEND_SHORT, "short answers");
}

Test(balancer_failures, an_answer_that_is_reset_hurts_nobody_else)
{
    contain(BACKEND_RESET_BODY, "reset in the answer");
}

Test(balancer_failures, garbage_hurts_nobody_else)
{
    contain(BACKEND_GARBAGE, "garbage");
}

Test(balancer_failures, no_poll_fails_when_a_member_is_killed_and_comes_back, .timeout = 600)
{
    struct scene scene;
    begin(&scene, NULL);
    for (unsigned i = 0; i < MEMBERS; i++) {
        backend_delay(backends_at(scene.backends, i),
                      5000); /* so that there is something in flight */
    }
    load(&scene, "GET", "/x");
    const char *kills = getenv("BALANCER_KILLS");
    unsigned count = kills != NULL ? (unsigned)atoi(kills) : 6;
    for (unsigned i = 0; i < count; i++) {
        struct backend *victim = backends_at(scene.backends, i % MEMBERS);
        sleep_for(PERIOD / 6);
        backend_die(victim);
        sleep_for(PERIOD / 6);
        backend_live(victim);
        cr_assert(balancer_await_members(&scene.balancer, MEMBERS, 10 * USEC_PER_SEC),
                  "member %u does not come back", i % MEMBERS);
    }
    struct load_result polls = load_stop(scene.polls);
    struct load_result gets = load_stop(scene.others);
    assert_all_answered("killed, polls", &polls);
    assert_all_answered("killed, GETs", &gets);
    end(&scene);
}

/* RULES G11 */
Test(balancer_failures, no_poll_fails_when_a_member_flaps)
{
    struct scene scene;
    begin(&scene, NULL);
    load(&scene, "GET", "/x");
    for (unsigned i = 0; i < 12; i++) {
        sleep_for(100 * USEC_PER_MSEC);
        backend_die(scene.bad);
        sleep_for(100 * USEC_PER_MSEC);
        backend_live(scene.bad);
    }
    struct load_result polls = load_stop(scene.polls);
    struct load_result gets = load_stop(scene.others);
    assert_all_answered("flapping, polls", &polls);
    assert_all_answered("flapping, GETs", &gets);
    end(&scene);
}

/* RULES G18 */
static void assert_once(enum backend_behaviour behaviour, const char *name)
{
    struct scene scene;
    begin(&scene, "Balancer.response_timeout=500ms");
    load(&scene, "POST", "/upload");
    sleep_for(PERIOD / 5);
    backend_behave(scene.bad, behaviour);
    sleep_for(PERIOD);
    struct load_result polls = load_stop(scene.polls);
    struct load_result posts = load_stop(scene.others);
    load_tell(name, &polls);
    load_tell(name, &posts);
    cr_assert_eq(polls.answered + polls.statuses[504], polls.sent);
    cr_assert_eq(posts.foreign + posts.failed, 0, "a POST without an answer");
    cr_assert_eq(posts.answered + posts.statuses[502] + posts.statuses[504], posts.sent);
    for (unsigned number = SECOND_LOAD; number < TAG_NUMBERS; number++) {
        unsigned seen = recorder_seen(backends_recorder(scene.backends), number);
        cr_assert_leq(seen, 1, "POST %u came %u times", number, seen);
    }
    end(&scene);
}

Test(balancer_failures, a_post_that_is_no_poll_is_never_sent_twice)
{
    assert_once(BACKEND_RESET_HEAD, "reset behind a POST");
    assert_once(BACKEND_CLOSE_HEAD, "closed behind a POST");
    assert_once(BACKEND_HANG, "hang with a POST");
}

/* RULES F26 */
Test(balancer_failures, the_last_member_is_never_ejected)
{
    struct balancer_process balancer;
    struct backends *backends = backends_new(1, false);
    balancer_init(&balancer, backends);
    balancer_start_with(&balancer, 1);
    backends_behave(backends, BACKEND_RESET_HEAD);
    for (unsigned i = 0; i < 20; i++) {
        cr_assert_eq(http_once(balancer.port, "GET", "/x", NULL, NULL), 502);
    }
    backends_behave(backends, BACKEND_NORMAL);
    cr_assert_eq(http_once(balancer.port, "GET", "/x", NULL, NULL), 200);
    balancer_done(&balancer);
    backends_free(backends);
}

Test(balancer_failures, a_500_is_the_members_word_and_goes_through)
{
    struct balancer_process balancer;
    struct backends *backends = backends_new(2, false);
    balancer_init(&balancer, backends);
    balancer_start_with(&balancer, 2);
    backends_behave(backends, BACKEND_ERROR);
    for (unsigned i = 0; i < 20; i++) {
        cr_assert_eq(http_once(balancer.port, "GET", "/x", NULL, NULL), 500);
    }
    cr_assert_eq(backend_requests(backends_at(backends, 0)), 10);
    balancer_done(&balancer);
    backends_free(backends);
}

Test(balancer_failures, a_member_that_announces_its_patience_is_left_first)
{
    struct balancer_process balancer;
    struct backends *backends = backends_new(1, false);
    balancer_init(&balancer, backends);
    balancer_set(&balancer, "Balancer.probe_path=/healthz");
    backend_announce(backends_at(backends, 0), 2);
    balancer_start_with(&balancer, 1);
    cr_assert_eq(http_once(balancer.port, "GET", "/x", NULL, NULL), 200);
    unsigned connections = backend_connections(backends_at(backends, 0));
    cr_assert_gt(connections, 0);
    sleep_for(2 * USEC_PER_SEC);
    cr_assert_leq(backend_open(backends_at(backends, 0)), 1, "still open: %u",
                  backend_open(backends_at(backends, 0))); /* a probe's, at most */
    balancer_done(&balancer);
    backends_free(backends);
}
