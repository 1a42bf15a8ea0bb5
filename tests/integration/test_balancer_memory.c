/* SPDX-License-Identifier: Apache-2.0 */
/* Too little memory: allocations that fail here and there, and an address space that is bounded.
 * Requests are answered, refused or closed; nothing ends, nothing stays behind. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/http_client.h"
#include "support/load.h"
#include "support/support.h"

enum { MEMBERS = 2 };

struct scene {
    struct backends *backends;
    struct balancer_process balancer;
};

static void prepare(struct scene *scene)
{
    *scene = (struct scene){.backends = backends_new(MEMBERS, false)};
    recorder_keep(backends_recorder(scene->backends), false);
    balancer_init(&scene->balancer, scene->backends);
    balancer_configure(&scene->balancer, "Balancer.queue_size: 100\n");
    balancer_set(&scene->balancer, "Balancer.response_timeout=2s");
    balancer_set(&scene->balancer, "Balancer.access_log=%s/access", scene->balancer.directory);
}

static struct load *load(const struct scene *scene, unsigned bytes, bool closes)
{
    const struct load_plan plan = {.port = scene->balancer.port,
                                   .threads = 4,
                                   .method = "POST",
                                   .path = "/control",
                                   .body_bytes = bytes,
                                   .closes = closes,
                                   .pause = 500};
    return load_start(&plan);
}

static void assert_sane(const char *what, const struct load_result *result)
{
    load_tell(what, result);
    cr_assert_eq(result->foreign, 0);
    cr_assert_gt(result->answered, 0);
    cr_assert_eq(result->answered + result->failed + result->statuses[502] + result->statuses[503] +
                     result->statuses[504],
                 result->sent);
    cr_assert_lt(result->longest, 9 * USEC_PER_SEC, "somebody waits for ever");
}

static void fail_every(const char *period)
{
    struct scene scene;
    prepare(&scene);
    setenv("LD_PRELOAD", FAILING_MALLOC_LIBRARY, 1);
    setenv("FAILING_MALLOC", period, 1);
    balancer_start_with(&scene.balancer, MEMBERS);
    unsetenv("LD_PRELOAD");
    unsetenv("FAILING_MALLOC");
    struct load *loads[] = {load(&scene, 700, true), load(&scene, 30000, false),
                            load(&scene, 200000, false)};
    balancer_signal(&scene.balancer, SIGUSR2);
    for (unsigned i = 0; i < 20; i++) {
        sleep_for(50 * USEC_PER_MSEC);
        balancer_signal(&scene.balancer, SIGHUP);
        backend_die(backends_at(scene.backends, i % MEMBERS));
        backend_live(backends_at(scene.backends, i % MEMBERS));
        free(balancer_command(&scene.balancer, "show connections"));
        cr_assert(process_is_alive(&scene.balancer.process));
    }
    balancer_signal(&scene.balancer, SIGUSR2);
    for (unsigned i = 0; i < 3; i++) {
        struct load_result result = load_stop(loads[i]);
        assert_sane("failing memory", &result);
    }
    cr_assert(balancer_await_members(&scene.balancer, MEMBERS, 10 * USEC_PER_SEC));
    for (unsigned i = 0; i < 20; i++) {
        cr_assert_eq(http_once(scene.balancer.port, "GET", "/x", NULL, NULL), 200);
    }
    cr_assert_eq(balancer_metric(&scene.balancer, "portico_balancer_requests_in_flight", NULL), 0);
    cr_assert_eq(balancer_stop(&scene.balancer, 20 * USEC_PER_SEC), 0);
    balancer_done(&scene.balancer);
    backends_free(scene.backends);
}

Test(balancer_memory, allocations_that_fail_now_and_then_end_nothing)
{
    fail_every("50");
}

Test(balancer_memory, allocations_that_fail_often_end_nothing)
{
    fail_every("5");
}

/* RULES G14, scaled down: many large bodies at a time through little memory. */
struct poster {
    pthread_t thread;
    uint16_t port;
    unsigned answered, refused, ended;
};

static void *post(void *context)
{
    enum { BODY = 4 << 20, POSTS = 5 };
    static const char body[BODY];
    const struct str bytes = str_make(body, sizeof body);
    struct poster *poster = context;
    for (unsigned i = 0; i < POSTS; i++) {
        unsigned status = http_once(poster->port, "POST", "/upload", &bytes, NULL);
        poster->answered += status == 200;
        poster->refused += status == 503;
        poster->ended += status == 0;
    }
    return NULL;
}

Test(balancer_memory, g14_large_bodies_pass_through_a_bounded_address_space, .timeout = 120)
{
    enum { POSTERS = 100, EXTRA_MIB = 32 };
    static struct poster posters[POSTERS];
    struct scene scene;
    unsigned answered = 0;
    unsigned refused = 0;
    unsigned ended = 0;
    prepare(&scene);
    balancer_set(&scene.balancer, "Balancer.response_timeout=30s");
    balancer_set(&scene.balancer, "Balancer.member_in_flight=1000");
    balancer_start_with(&scene.balancer, MEMBERS);
    rlim_t most = (rlim_t)process_memory_kib(&scene.balancer.process, "VmSize") * 1024;
    most += (rlim_t)EXTRA_MIB << 20;
    const struct rlimit little = {.rlim_cur = most, .rlim_max = most};
    cr_assert_eq(prlimit(scene.balancer.process.pid, RLIMIT_AS, &little, NULL), 0);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i].port = scene.balancer.port;
        cr_assert_eq(pthread_create(&posters[i].thread, NULL, post, &posters[i]), 0);
    }
    for (unsigned i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        answered += posters[i].answered;
        refused += posters[i].refused;
        ended += posters[i].ended;
    }
    fprintf(stderr, "bounded memory: %u answered, %u refused, %u ended; %llu KiB at most\n",
            answered, refused, ended,
            (unsigned long long)process_memory_kib(&scene.balancer.process, "VmHWM"));
    cr_assert(process_is_alive(&scene.balancer.process));
    cr_assert_gt(answered, 0);
    cr_assert_eq(http_once(scene.balancer.port, "GET", "/x", NULL, NULL), 200);
    balancer_done(&scene.balancer);
    backends_free(scene.backends);
}
