/* SPDX-License-Identifier: Apache-2.0 */
/* Signals under load: reload, drain, end, log rotation. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/http_client.h"
#include "support/load.h"
#include "support/support.h"

enum { MEMBERS = 3, RELOADS = 100 };

struct scene {
    struct backends *backends;
    struct balancer_process balancer;
};

static void begin(struct scene *scene, const char *yaml)
{
    *scene = (struct scene){.backends = backends_new(MEMBERS, false)};
    recorder_keep(backends_recorder(scene->backends), false);
    balancer_init(&scene->balancer, scene->backends);
    balancer_configure(&scene->balancer, yaml);
}

static void end(struct scene *scene)
{
    balancer_done(&scene->balancer);
    backends_free(scene->backends);
}

static struct load *load(const struct scene *scene, bool closes)
{
    const struct load_plan plan = {.port = scene->balancer.port,
                                   .threads = 4,
                                   .method = "POST",
                                   .path = "/upload", /* which nobody repeats */
                                   .body_bytes = 700,
                                   .pause = 500,
                                   .closes = closes,
                                   .first_number = closes ? TAG_NUMBERS / 2 : 0};
    return load_start(&plan);
}

static bool await_metric(const struct scene *scene, const char *name, double value)
{
    for (unsigned i = 0; i < 500; i++) {
        if (balancer_metric(&scene->balancer, name, NULL) >= value) {
            return true;
        }
        sleep_for(20 * USEC_PER_MSEC);
    }
    return false;
}

/* RULES G17 */
Test(balancer_reload, a_hundred_reloads_fail_no_request)
{
    struct scene scene;
    begin(&scene, "Balancer.queue_size: 100\n");
    balancer_start_with(&scene.balancer, MEMBERS);
    struct load *kept = load(&scene, false);
    struct load *closing = load(&scene, true);
    unsigned descriptors = process_descriptors(&scene.balancer.process);
    for (unsigned i = 0; i < RELOADS; i++) {
        char yaml[64];
        snprintf(yaml, sizeof yaml, "Balancer.queue_size: %u\n", 100 + i);
        balancer_configure(&scene.balancer, yaml);
        balancer_signal(&scene.balancer, SIGHUP);
        sleep_for(20 * USEC_PER_MSEC);
    }
    cr_assert(await_metric(&scene, "portico_balancer_reloads_total", 1));
    struct load_result results[] = {load_stop(kept), load_stop(closing)};
    for (unsigned i = 0; i < 2; i++) {
        load_tell(i == 0 ? "reloads, kept connections" : "reloads, new connections", &results[i]);
        cr_assert_eq(results[i].answered, results[i].sent);
    }
    cr_assert_lt(process_descriptors(&scene.balancer.process), descriptors + 40);
    end(&scene);
}

Test(balancer_reload, a_bad_file_changes_nothing_and_says_why)
{
    struct scene scene;
    begin(&scene, "Balancer.max_target: 8KiB\n");
    balancer_start_with(&scene.balancer, MEMBERS);
    balancer_configure(&scene.balancer, "Balancer.max_target: 100\nBalancer.max_fieldz: 3\n");
    balancer_signal(&scene.balancer, SIGHUP);
    cr_assert(await_metric(&scene, "portico_balancer_reload_failures_total", 1));
    char path[300];
    memset(path, 'a', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    cr_assert_eq(http_once(scene.balancer.port, "GET", path, NULL, NULL), 200);
    char *log = balancer_log(&scene.balancer);
    cr_assert_not_null(strstr(log, "max_fieldz"), "%s", log);
    free(log);
    balancer_configure(&scene.balancer, "Balancer.max_target: 100\n");
    balancer_signal(&scene.balancer, SIGHUP);
    cr_assert(await_metric(&scene, "portico_balancer_reloads_total", 1));
    for (unsigned i = 0; i < 100; i++) { /* each worker takes it up at its next turn */
        if (http_once(scene.balancer.port, "GET", path, NULL, NULL) == 414) {
            break;
        }
        sleep_for(10 * USEC_PER_MSEC);
    }
    cr_assert_eq(http_once(scene.balancer.port, "GET", path, NULL, NULL), 414);
    end(&scene);
}

/* What only the balancer can tell is told like everything else that is wrong with a file. */
Test(balancer_reload, a_bad_host_changes_nothing_and_is_told_with_its_place)
{
    struct scene scene;
    begin(&scene, "Balancer.queue_size: 100\n");
    balancer_start_with(&scene.balancer, MEMBERS);
    balancer_configure(&scene.balancer, "Balancer.queue_size: 101\nBalancer.probe_path: healthz\n");
    balancer_signal(&scene.balancer, SIGHUP);
    cr_assert(await_metric(&scene, "portico_balancer_reload_failures_total", 1));
    char *log = balancer_log(&scene.balancer);
    cr_assert_not_null(strstr(log, "portico.yaml:2:22: error: Balancer.probe_path"), "%s", log);
    free(log);
    cr_assert_eq(http_once(scene.balancer.port, "GET", "/x", NULL, NULL), 200);
    end(&scene);
}

Test(balancer_reload, tells_what_needs_a_restart)
{
    struct scene scene;
    begin(&scene, "Logging.format: human\n");
    balancer_start_with(&scene.balancer, MEMBERS);
    balancer_configure(&scene.balancer, "Logging.format: json\nBalancer.queue_size: 101\n");
    balancer_signal(&scene.balancer, SIGHUP);
    cr_assert(await_metric(&scene, "portico_balancer_reloads_total", 1));
    char *log = balancer_log(&scene.balancer);
    const char *first = strstr(log, "needs a restart");
    cr_assert(first != NULL && strstr(first, "Logging.format") != NULL, "%s", log);
    cr_assert_null(strstr(first + 1, "needs a restart"), "%s", log);
    free(log);
    end(&scene);
}

Test(balancer_reload, keeps_connections_through_a_reload)
{
    struct scene scene;
    struct http_client client;
    struct http_answer answer;
    begin(&scene, "Balancer.queue_size: 100\n");
    balancer_start_with(&scene.balancer, MEMBERS);
    http_connect(&client, scene.balancer.port);
    cr_assert(http_request(&client, "GET", "/x", NULL, &answer));
    http_answer_done(&answer);
    balancer_signal(&scene.balancer, SIGHUP);
    cr_assert(await_metric(&scene, "portico_balancer_reloads_total", 1));
    cr_assert(http_request(&client, "GET", "/x", NULL, &answer), "the connection was dropped");
    cr_assert_eq(answer.status, 200);
    http_answer_done(&answer);
    http_close(&client);
    end(&scene);
}

/* ---- The end ---- */

Test(balancer_reload, sigterm_finishes_what_is_in_flight)
{
    struct scene scene;
    struct http_client client;
    struct http_client idle;
    struct http_client late;
    struct http_answer answer;
    begin(&scene, "Balancer.queue_size: 100\n");
    balancer_set(&scene.balancer, "Balancer.drain_timeout=20s");
    balancer_start_with(&scene.balancer, MEMBERS);
    http_connect(&idle, scene.balancer.port);
    cr_assert(http_request(&idle, "GET", "/x", NULL, &answer));
    http_answer_done(&answer);
    for (unsigned i = 0; i < MEMBERS; i++) {
        backend_delay(backends_at(scene.backends, i), 2 * USEC_PER_SEC);
    }
    http_connect(&client, scene.balancer.port);
    cr_assert(http_send(&client, STR("GET /slow HTTP/1.1\r\nHost: a\r\nX-Tag: last\r\n\r\n")));
    sleep_for(150 * USEC_PER_MSEC);
    balancer_signal(&scene.balancer, SIGTERM);
    cr_assert(http_is_closed(&idle), "an idle connection stays");
    cr_assert(http_read(&client, false, &answer), "what was in flight is lost");
    cr_assert_eq(answer.status, 200);
    cr_assert(answer.closes, "%s", answer.head);
    http_answer_done(&answer);
    cr_assert(http_is_closed(&client));
    http_close(&client);
    http_close(&idle);
    uint16_t port = scene.balancer.port;
    cr_assert_eq(balancer_wait(&scene.balancer, 10 * USEC_PER_SEC), 0);
    cr_assert_lt(http_try_connect(&late, port), 0, "somebody still listens");
    end(&scene);
}

Test(balancer_reload, a_second_sigterm_ends_at_once)
{
    struct scene scene;
    struct http_client client;
    begin(&scene, "Balancer.queue_size: 100\n");
    balancer_set(&scene.balancer, "Balancer.drain_timeout=60s");
    balancer_start_with(&scene.balancer, MEMBERS);
    backends_behave(scene.backends, BACKEND_HANG);
    http_connect(&client, scene.balancer.port);
    cr_assert(http_send(&client, STR("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")));
    sleep_for(200 * USEC_PER_MSEC);
    balancer_signal(&scene.balancer, SIGTERM);
    sleep_for(500 * USEC_PER_MSEC);
    cr_assert(process_is_alive(&scene.balancer.process), "it does not wait for what is in flight");
    usec_t start = clock_monotonic(&clock_system);
    balancer_signal(&scene.balancer, SIGTERM);
    cr_assert_neq(balancer_wait(&scene.balancer, 5 * USEC_PER_SEC), -1, "it does not end");
    cr_assert_lt(clock_monotonic(&clock_system) - start, 3 * USEC_PER_SEC);
    http_close(&client);
    end(&scene);
}

Test(balancer_reload, draining_is_bounded)
{
    struct scene scene;
    struct http_client client;
    begin(&scene, "Balancer.queue_size: 100\n");
    balancer_set(&scene.balancer, "Balancer.drain_timeout=500ms");
    balancer_start_with(&scene.balancer, MEMBERS);
    backends_behave(scene.backends, BACKEND_HANG);
    http_connect(&client, scene.balancer.port);
    cr_assert(http_send(&client, STR("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")));
    sleep_for(200 * USEC_PER_MSEC);
    cr_assert_eq(balancer_stop(&scene.balancer, 10 * USEC_PER_SEC), 0);
    http_close(&client);
    end(&scene);
}

/* No answer is another's, and what was accepted is answered: a client sees its connection end
 * between two answers, or none at all. */
static void end_under_load(unsigned signals)
{
    struct scene scene;
    begin(&scene, "Balancer.queue_size: 100\n");
    balancer_set(&scene.balancer, "Balancer.threads=4");
    balancer_set(&scene.balancer, "Balancer.drain_timeout=5s");
    balancer_start_with(&scene.balancer, MEMBERS);
    struct load *loads[] = {load(&scene, false), load(&scene, true)};
    sleep_for(300 * USEC_PER_MSEC);
    for (unsigned i = 0; i < signals; i++) {
        balancer_signal(&scene.balancer, SIGTERM);
        sleep_for(i * USEC_PER_MSEC);
    }
    cr_assert_eq(balancer_wait(&scene.balancer, 20 * USEC_PER_SEC), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct load_result result = load_stop(loads[i]);
        load_tell("ended under load", &result);
        cr_assert_eq(result.foreign, 0);
        cr_assert_gt(result.answered, 0);
        cr_assert_eq(result.answered + result.failed, result.sent);
    }
    end(&scene);
}

Test(balancer_reload, sigterm_under_load_ends_in_order)
{
    end_under_load(1);
}

Test(balancer_reload, two_sigterms_under_load_end_in_order)
{
    end_under_load(2);
}

/* ---- The access log ---- */

static unsigned lines(const struct scene *scene, const char *name)
{
    unsigned count = 0;
    char *text = balancer_file(&scene->balancer, name);
    for (const char *at = text; *at != '\0'; at++) {
        count += *at == '\n';
    }
    free(text);
    return count;
}

Test(balancer_reload, rotating_the_log_loses_no_line)
{
    struct scene scene;
    char from[512];
    char to[512];
    begin(&scene, "Balancer.queue_size: 100\n");
    balancer_set(&scene.balancer, "Balancer.access_log=%s/access", scene.balancer.directory);
    balancer_start_with(&scene.balancer, MEMBERS);
    struct load *one = load(&scene, false);
    for (unsigned i = 0; i < 5; i++) {
        sleep_for(100 * USEC_PER_MSEC);
        snprintf(from, sizeof from, "%s/access", scene.balancer.directory);
        snprintf(to, sizeof to, "%s/access.%u", scene.balancer.directory, i);
        cr_assert_eq(rename(from, to), 0, "no log after a rotation");
        balancer_signal(&scene.balancer, SIGUSR1);
        for (unsigned wait = 0; wait < 200 && access(from, F_OK) != 0; wait++) {
            sleep_for(10 * USEC_PER_MSEC);
        }
    }
    struct load_result result = load_stop(one);
    double dropped =
        balancer_metric(&scene.balancer, "portico_balancer_access_log_dropped_total", NULL);
    cr_assert_eq(balancer_stop(&scene.balancer, 10 * USEC_PER_SEC), 0);
    unsigned sum = lines(&scene, "access");
    for (unsigned i = 0; i < 5; i++) {
        snprintf(to, sizeof to, "access.%u", i);
        sum += lines(&scene, to);
    }
    cr_assert_eq((unsigned)dropped, 0);
    cr_assert_eq(result.answered, result.sent);
    cr_assert_eq(sum, result.sent, "%u lines of %llu requests", sum,
                 (unsigned long long)result.sent);
    end(&scene);
}

/* RULES G15 */
Test(balancer_reload, a_full_disk_stops_no_request)
{
    struct scene scene;
    begin(&scene, "Balancer.queue_size: 100\n");
    balancer_set(&scene.balancer, "Balancer.access_log=/dev/full");
    balancer_start_with(&scene.balancer, MEMBERS);
    struct load *one = load(&scene, false);
    cr_assert(await_metric(&scene, "portico_balancer_access_log_dropped_total", 1));
    struct load_result result = load_stop(one);
    load_tell("/dev/full", &result);
    cr_assert_eq(result.answered, result.sent);
    end(&scene);
}
