/* SPDX-License-Identifier: Apache-2.0 */
/* Large bodies, many at a time: what they take together is bounded, and small polls go on. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "support/fake_agent.h"
#include "support/instance.h"
#include "support/scrape.h"
#include "support/support.h"

enum {
    MIB = 1 << 20,
    CLIENTS = 24,
    BODY = 4 * MIB,   /* announced */
    PART = 3 * MIB,   /* sent, at first */
    MEMORY = 16 * MIB /* as configured below */
};

#define STOP_PATIENCE (20 * USEC_PER_SEC)
#define PATIENCE (10 * USEC_PER_SEC)

static struct {
    struct rsa_key *server;
    struct instance_keys keys;
    struct instance instance;
    struct fake_agent agent;
    struct http_client clients[CLIENTS];
} scene;

static void begin(void)
{
    CHECK(rsa_generate(1024, NULL, &scene.server) == 0);
    instance_keys_make(scene.server, &scene.keys);
    instance_init(&scene.instance, &scene.keys);
    scrape_enable(&scene.instance);
    instance_set(&scene.instance, "Frontend.body_memory=16MiB");
    fake_agent_init(&scene.agent, scene.server);
    instance_start(&scene.instance);
    fake_agent_ask(&scene.agent);
    CHECK(fake_agent_poll_once(&scene.agent, scene.instance.port) == 200);
}

static void end(void)
{
    cr_expect_eq(instance_stop(&scene.instance, STOP_PATIENCE), 0);
    instance_done(&scene.instance);
    fake_agent_done(&scene.agent);
    instance_keys_free(&scene.keys);
    rsa_key_free(scene.server);
}

static void send_large(unsigned i, size_t bytes)
{
    static char zeros[MIB];
    for (size_t sent = 0; sent < bytes; sent += sizeof zeros) {
        CHECK(http_send(&scene.clients[i], str_make(zeros, sizeof zeros)));
    }
}

static void begin_large(unsigned i)
{
    char head[128];
    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BODY);
    http_connect(&scene.clients[i], scene.instance.port);
    http_send(&scene.clients[i], str_from(head));
    send_large(i, PART);
}

/* Finish, and see whether it was taken: what it says is refused with 400, when there is room for
 * it.
 */
static bool was_taken(unsigned i)
{
    struct http_answer answer;
    send_large(i, BODY - PART);
    cr_assert(http_read(&scene.clients[i], false, &answer));
    bool is_taken = answer.status == 400;
    if (!is_taken) {
        cr_expect_eq(answer.status, 503);
        cr_expect_str_eq(http_field(&answer, "X-Portico-Reason"), "busy_memory");
        cr_expect_geq(strtol(http_field(&answer, "Retry-After"), NULL, 10), 1);
    }
    http_answer_done(&answer);
    http_close(&scene.clients[i]);
    return is_taken;
}

/* Bytes that are on their way to the instance or that it has not read. A socket's line in
 * proc_pid_net(5): "sl: LOCAL REMOTE STATE SENT:RECEIVED", all in hexadecimal digits. */
static uint64_t bytes_unread(void)
{
    FILE *sockets = fopen("/proc/self/net/tcp", "re");
    cr_assert_not_null(sockets);
    char line[512];
    uint64_t unread = 0;
    while (fgets(line, sizeof line, sockets) != NULL) {
        unsigned local;
        unsigned remote;
        unsigned long to_send;
        unsigned long to_read;
        if (sscanf(line, " %*u: %*x:%x %*x:%x %*x %lx:%lx", &local, &remote, &to_send, &to_read) !=
            4) {
            continue;
        }
        unread += local == scene.instance.port ? to_read : 0;
        unread += remote == scene.instance.port ? to_send : 0;
    }
    fclose(sockets);
    return unread;
}

static void wait_until_all_is_read(void)
{
    usec_t deadline = clock_monotonic(&clock_system) + PATIENCE;
    while (bytes_unread() > 0) {
        cr_assert_lt(clock_monotonic(&clock_system), deadline);
        sleep_for(20000);
    }
    sleep_for(100000); /* what it has read last, it may still be counting */
}

static void small_poll(void)
{
    fake_agent_say(&scene.agent, "aff4:/flows/F:ClientAlert", "DataBlob", STR("x"));
    cr_expect_eq(fake_agent_poll_once(&scene.agent, scene.instance.port), 200);
}

Test(frontend_memory, large_bodies_share_what_there_is)
{
    unsigned taken = 0;
    begin();
    uint64_t before = process_memory_kib(&scene.instance.process, "VmRSS");
    for (unsigned i = 0; i < CLIENTS; i++) {
        begin_large(i);
    }
    small_poll();
    wait_until_all_is_read();
    uint64_t grown = process_memory_kib(&scene.instance.process, "VmRSS") - before;
    for (unsigned i = 0; i < CLIENTS; i++) {
        taken += was_taken(i);
    }
    cr_expect_geq(taken, MEMORY / BODY - 1, "%u", taken);
    cr_expect_leq(taken, MEMORY / PART, "%u", taken);
    small_poll();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    /* Buffers double, so there may be twice of what they hold. */
    cr_expect_lt(grown, 3 * (uint64_t)MEMORY / 1024, "%llu KiB", (unsigned long long)grown);
#endif
    printf("%d bodies of %d MiB: %u taken, %llu KiB more\n", CLIENTS, BODY / MIB, taken,
           (unsigned long long)grown);
    end();
}

/* One who hangs up leaves room to others, and one alone may be as large as any. */
Test(frontend_memory, who_hangs_up_gives_it_back)
{
    struct http_answer answer;
    static char body[20 * MIB];
    struct str large = str_make(body, sizeof body);
    begin();
    for (unsigned i = 0; i < CLIENTS; i++) {
        begin_large(i);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        http_close(&scene.clients[i]);
    }
    usec_t deadline = clock_monotonic(&clock_system) + PATIENCE;
    while (scrape_value(&scene.instance, "frontend_active_count{source=\"http\"}") > 0 &&
           clock_monotonic(&clock_system) < deadline) {
        sleep_for(20000);
    }
    cr_expect_eq(http_once(scene.instance.port, "POST", "/", &large, &answer), 400);
    http_answer_done(&answer);
    end();
}
