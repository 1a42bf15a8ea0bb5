/* SPDX-License-Identifier: Apache-2.0 */
/* portico run with the real frontends and the real balancer. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "net/address.h"
#include "support/agent_client.h"
#include "support/http_client.h"
#include "support/instance.h"
#include "support/site.h"
#include "support/support.h"
#include "wire/rsa.h"

enum {
    FRONTENDS = SITE_FRONTENDS,
    PORTS = SITE_CHILDREN, /* and the balancer */
    POLLERS = 3,
};

#define PATIENCE SITE_PATIENCE

static struct site site;

/* ---- The program ---- */

static void begin(void)
{
    site_init(&site);
}

static bool has_said(const char *words)
{
    return site_has_said(&site, words);
}

static void wait_until_said(const char *words)
{
    site_wait_until_said(&site, words);
}

static void start(void)
{
    site_start(&site);
}

static void expect_end(int status)
{
    int got = site_wait(&site, PATIENCE);
    char *log = instance_log(&site.place);
    cr_expect_eq(got, status, "status %d: %s", got, log);
    free(log);
}

static void stop(void)
{
    kill(site.supervisor, SIGTERM);
    expect_end(0);
}

static void end(void)
{
    site_done(&site);
}

TestSuite(portico_run, .init = begin, .fini = end, .timeout = 240);

/* ---- Its children ---- */

static void take_pids(pid_t pids[PORTS])
{
    for (unsigned i = 0; i < PORTS; i++) {
        pids[i] = site_child(&site, i);
        cr_assert_gt(pids[i], 0);
    }
}

static unsigned get(uint16_t port, const char *path)
{
    struct http_client client;
    if (http_try_connect(&client, port) < 0) {
        return 0;
    }
    http_close(&client);
    return http_once(port, "GET", path, NULL, NULL);
}

/* ---- Tests ---- */

Test(portico_run, all_serve_and_end_cleanly)
{
    start();
    for (unsigned i = 0; i < FRONTENDS; i++) {
        cr_expect_eq(get(site.first_port + i, "/healthz"), 200);
    }
    cr_expect_eq(get(site_balancer_port(&site), "/server.pem"), 200);
    char name[64];
    snprintf(name, sizeof name, "frontend:%u | ", site.first_port);
    cr_expect(has_said(name));
    cr_expect(has_said("balancer       | portico-balancer: serving on "));
    stop();
    cr_expect(has_said("all ended"));
    cr_expect_eq(get(site.first_port, "/healthz"), 0);
}

Test(portico_run, n_says_how_many)
{
    site_set(&site, "Logging.level=error");
    site_launch(&site);
    wait_until_said("starting 3 frontends");
    stop();
    char many[] = "-n";
    const char *arguments[] = {PORTICO_BINARY, "run", many, "2", "-p", site.parameters[0], NULL};
    site_run(&site, arguments);
    expect_end(2); /* without Frontend.port_max the range is one port */
    cr_expect(has_said("the range has 1 port "));
}

Test(portico_run, a_killed_frontend_comes_back)
{
    start();
    pid_t before = site_child(&site, 1);
    cr_assert_gt(before, 0);
    kill(before, SIGKILL);
    wait_until_said("serves again");
    pid_t after = site_child(&site, 1);
    cr_expect_gt(after, 0);
    cr_expect_neq(before, after);
    cr_expect_eq(get(site.first_port + 1, "/healthz"), 200);
    stop();
}

Test(portico_run, a_killed_balancer_comes_back)
{
    start();
    site_kill(&site, FRONTENDS);
    wait_until_said("balancer serves again");
    cr_expect_eq(get(site_balancer_port(&site), "/server.pem"), 200);
    stop();
}

Test(portico_run, children_do_not_outlive_a_killed_supervisor)
{
    pid_t pids[PORTS];
    start();
    take_pids(pids);
    kill(site.supervisor, SIGKILL);
    expect_end(128 + SIGKILL);
    sleep_for(USEC_PER_SEC);
    for (unsigned i = 0; i < PORTS; i++) {
        char path[64];
        char state = 'Z';
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pids[i]);
        FILE *file = fopen(path, "re");
        if (file != NULL) { /* it may wait for its new parent */
            cr_expect_eq(fscanf(file, "%*d %*s %c", &state), 1);
            fclose(file);
        }
        cr_expect_eq(state, 'Z', "child %u is %c", i, state);
    }
    cr_expect_eq(get(site_balancer_port(&site), "/server.pem"), 0);
}

/* ---- Rolling restarts ---- */

static atomic_bool is_over;
static atomic_uint polls, failures;
static char failure[64];

/* Even ones keep their connection, odd ones make a new one for each poll, as real agents do. */
static void *keep_polling(void *number)
{
    struct agent_client client;
    struct rsa_key *key;
    struct buffer list;
    struct address balancer;
    CHECK(rsa_generate(1024, NULL, &key) == 0);
    CHECK(address_from_host(STR("127.0.0.1"), site_balancer_port(&site), &balancer, NULL) == 0);
    agent_client_init(&client, key);
    buffer_init(&list, 1 << 20);
    client.closes = *(unsigned *)number % 2 == 1;
    CHECK(agent_client_meet(&client, &balancer) == 200);
    bool is_enrolled = false;
    while (!atomic_load(&is_over)) {
        struct bundle bundle;
        bundle_init(&bundle, &client.limits);
        buffer_clear(&list);
        if (!is_enrolled) {
            agent_client_append_enrol(&client, &list);
        }
        int status = agent_client_poll(&client, &balancer, buffer_view(&list), &bundle);
        bundle_done(&bundle);
        if (status == 200) {
            is_enrolled = true;
            atomic_fetch_add(&polls, 1);
        } else if (is_enrolled || status != 406) {
            snprintf(failure, sizeof failure, "%d after %u polls", status, atomic_load(&polls));
            atomic_fetch_add(&failures, 1);
        }
        sleep_for(2 * USEC_PER_MSEC);
    }
    buffer_done(&list);
    agent_client_done(&client);
    return NULL;
}

Test(portico_run, a_rolling_restart_fails_no_request)
{
    pthread_t threads[POLLERS];
    unsigned numbers[POLLERS];
    pid_t before[PORTS];
    pid_t after[PORTS];
    start();
    take_pids(before);
    for (unsigned i = 0; i < POLLERS; i++) {
        numbers[i] = i;
        cr_assert_eq(pthread_create(&threads[i], NULL, keep_polling, &numbers[i]), 0);
    }
    while (atomic_load(&polls) < 50) {
        sleep_for(USEC_PER_MSEC);
    }
    kill(site.supervisor, SIGHUP);
    wait_until_said("rolling restart: done");
    unsigned then = atomic_load(&polls);
    while (atomic_load(&polls) < then + 50) {
        sleep_for(USEC_PER_MSEC);
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < POLLERS; i++) {
        pthread_join(threads[i], NULL);
    }
    take_pids(after);
    cr_expect_eq(atomic_load(&failures), 0, "%u failures: %s", atomic_load(&failures), failure);
    for (unsigned i = 0; i < FRONTENDS; i++) {
        cr_expect_neq(before[i], after[i]);
    }
    cr_expect_eq(before[FRONTENDS], after[FRONTENDS], "the balancer stays");
    wait_until_said("event=reloaded");
    stop();
}

static void append_to_configuration(const char *line)
{
    char path[512];
    snprintf(path, sizeof path, "%s/portico.yaml", site.place.directory);
    FILE *file = fopen(path, "ae");
    CHECK(file != NULL && fputs(line, file) >= 0 && fclose(file) == 0);
}

Test(portico_run, a_wrong_configuration_is_not_rolled_out)
{
    pid_t before[PORTS];
    pid_t after[PORTS];
    start();
    take_pids(before);
    append_to_configuration("Frontend.enrolment: perhaps\n");
    kill(site.supervisor, SIGHUP);
    wait_until_said("no rolling restart: the configuration has 1 error;");
    take_pids(after);
    cr_expect_arr_eq(before, after, sizeof before);
    stop();
}

/* What no check of the configuration can see. */
static void spoil_store(void)
{
    char path[512];
    size_t len;
    snprintf(path, sizeof path, "%s/portico.yaml", site.place.directory);
    char *text = read_file(path, &len);
    CHECK(text != NULL);
    char *location = strstr(text, "Datastore.location: /");
    CHECK(location != NULL);
    for (size_t i = 0; i < strlen("/proc"); i++) {
        location[strlen("Datastore.location: ") + i] = "/proc"[i];
    }
    FILE *file = fopen(path, "we");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
    free(text);
}

Test(portico_run, a_rolling_restart_ends_at_the_first_that_cannot_start)
{
    pid_t before[PORTS];
    start();
    take_pids(before);
    spoil_store();
    kill(site.supervisor, SIGHUP);
    wait_until_said("rolling restart: aborted at frontend:");
    sleep_for(3 * USEC_PER_SEC); /* long enough to give up on it, if it were not spared */
    cr_expect_eq(site_child(&site, 1), before[1]);
    cr_expect_eq(site_child(&site, 2), before[2]);
    cr_expect_eq(get(site_balancer_port(&site), "/server.pem"), 200);
    stop();
}

/* ---- What goes wrong ---- */

Test(portico_run, what_keeps_dying_ends_all_with_its_last_words)
{
    site_set(&site, "Datastore.location=/proc/nowhere");
    site_launch(&site);
    expect_end(1);
    cr_expect(has_said("kept dying, so everything was stopped. Its last lines:"));
    cr_expect(has_said("portico run    |   portico-frontend: "));
    cr_expect(has_said("/proc/nowhere"));
}

Test(portico_run, a_wrong_configuration_starts_nothing)
{
    append_to_configuration("Frontend.enrolment: perhaps\n");
    site_launch(&site);
    expect_end(1);
    cr_expect(has_said("Frontend.enrolment"));
    cr_expect_not(has_said("starting"));
}

Test(portico_run, a_taken_port_is_told_with_its_holder)
{
    char words[128];
    int held = site_hold_port(site.first_port + 1);
    cr_assert_geq(held, 0);
    site_launch(&site);
    expect_end(1);
    close(held);
    snprintf(words, sizeof words, "port %u, which frontend:%u needs, is held by ",
             site.first_port + 1, site.first_port + 1);
    cr_expect(has_said(words));
    cr_expect_not(has_said("starting"));
}

Test(portico_run, a_second_signal_does_not_wait_for_answers)
{
    struct http_client client;
    start();
    /* The balancer would wait for the rest of this request. */
    http_connect(&client, site_balancer_port(&site));
    cr_assert(http_send(&client, STR("POST /control HTTP/1.1\r\nHost: x\r\n"
                                     "Content-Length: 1000000\r\n\r\nabc")));
    sleep_for(200 * USEC_PER_MSEC);
    kill(site.supervisor, SIGTERM);
    wait_until_said("stopping: the balancer finishes");
    sleep_for(300 * USEC_PER_MSEC);
    cr_expect_not(has_said("all ended"));
    kill(site.supervisor, SIGTERM);
    cr_expect_eq(site_wait(&site, 5 * USEC_PER_SEC), 0);
    http_close(&client);
}
