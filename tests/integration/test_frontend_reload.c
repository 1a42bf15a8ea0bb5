/* SPDX-License-Identifier: Apache-2.0 */
/* SIGHUP: what a reload applies, what it refuses, and what it leaves alone. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "support/fake_agent.h"
#include "support/http_client.h"
#include "support/instance.h"
#include "support/parties.h"
#include "support/support.h"
#include "wire/authority.h"

#define PATIENCE (20 * USEC_PER_SEC)

static struct rsa_key *server;
static struct instance_keys keys;
static struct instance instance;
static struct fake_agent agent;

static void start(void)
{
    CHECK(rsa_generate(1024, NULL, &server) == 0);
    instance_keys_make(server, &keys);
    instance_init(&instance, &keys);
    instance_start(&instance);
    fake_agent_init(&agent, server);
    fake_agent_ask(&agent);
    cr_assert_eq(fake_agent_poll_once(&agent, instance.port), 200);
}

static void end(void)
{
    if (instance.process.pid > 0) {
        cr_expect_eq(instance_stop(&instance, 5 * USEC_PER_SEC), 0);
    }
    instance_done(&instance);
    instance_keys_free(&keys);
    fake_agent_done(&agent);
    rsa_key_free(server);
}

TestSuite(frontend_reload, .init = start, .fini = end);

static void append(const char *file, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", instance.directory, file);
    FILE *out = fopen(path, "ae");
    CHECK(out != NULL && fputs(text, out) >= 0 && fclose(out) == 0);
}

static unsigned times_said(const char *words)
{
    char *log = instance_log(&instance);
    unsigned count = 0;
    for (const char *at = strstr(log, words); at != NULL; at = strstr(at + 1, words)) {
        count++;
    }
    free(log);
    return count;
}

static bool says_soon(const char *words, unsigned times)
{
    usec_t deadline = clock_monotonic(&clock_system) + PATIENCE;
    while (times_said(words) < times && clock_monotonic(&clock_system) < deadline) {
        sleep_for(5 * USEC_PER_MSEC);
    }
    return times_said(words) >= times;
}

static void reload(bool succeeds)
{
    const char *words = succeeds ? "event=reloaded" : "reload failed";
    unsigned before = times_said(words);
    kill(instance.process.pid, SIGHUP);
    if (!says_soon(words, before + 1)) {
        char *log = instance_log(&instance);
        cr_assert_fail("no \"%s\" in\n%s", words, log);
    }
}

Test(frontend_reload, applies_policies_to_polls_that_come)
{
    static struct fake_agent late;
    append("portico.yaml", "Frontend.enrolment: closed\n");
    fake_agent_init(&late, server);
    reload(true);
    fake_agent_ask(&late);
    cr_expect_eq(fake_agent_poll_once(&late, instance.port), 406);
    cr_expect_eq(fake_agent_poll_once(&agent, instance.port), 200);
    append("portico.yaml", "Frontend.max_body: 4KiB\n");
    reload(true);
    static char bytes[5000];
    const struct str body = str_make(bytes, sizeof bytes);
    cr_expect_eq(http_once(instance.port, "POST", "/control", &body, NULL), 413);
    fake_agent_done(&late);
}

Test(frontend_reload, a_mistake_changes_nothing_and_is_told_with_its_place)
{
    static struct fake_agent late;
    append("portico.yaml", "Frontend.max_body: 4KiB\nFrontend.enrollment: closed\n");
    reload(false);
    cr_expect_eq(times_said("Frontend.enrolment"), 1, "no suggestion"); /* the hint */
    cr_expect_geq(times_said("portico.yaml:15:1"), 1, "no place");
    static char bytes[5000];
    const struct str body = str_make(bytes, sizeof bytes);
    cr_expect_eq(http_once(instance.port, "POST", "/control", &body, NULL), 400);
    fake_agent_init(&late, server);
    fake_agent_ask(&late);
    cr_expect_eq(fake_agent_poll_once(&late, instance.port), 200);
    fake_agent_done(&late);
}

Test(frontend_reload, a_key_that_is_not_the_certificates_changes_nothing)
{
    free(write_file(instance.directory, "server_key.pem", keys.ca_key));
    reload(false);
    cr_expect_eq(fake_agent_poll_once(&agent, instance.port), 200);
}

Test(frontend_reload, tells_what_needs_a_restart)
{
    append("portico.yaml", "Frontend.idle_timeout: 5s\nFrontend.retry_after: 7s\n");
    reload(true);
    cr_expect_eq(times_said("needs a restart"), 1);
    cr_expect_eq(times_said("option=Frontend.idle_timeout"), 1);
}

/* A certificate of the same authority for `key`; to be freed. */
static struct str certify(const struct rsa_key *key, uint64_t serial)
{
    struct rsa_key *signer;
    struct authority *authority;
    struct buffer pem;
    usec_t now = clock_wall(&clock_system);
    const struct certificate_wish wish = {
        .common_name = "grr",
        .serial = serial,
        .not_before = now - USEC_PER_DAY,
        .not_after = now + USEC_PER_DAY,
    };
    buffer_init(&pem, 64 * 1024);
    CHECK(rsa_private_from_pem(keys.ca_key, NULL, &signer) == 0);
    CHECK(authority_open(signer, keys.ca_certificate, &authority) == 0);
    CHECK(authority_certify(authority, key, &wish, &pem) == 0);
    authority_free(authority);
    rsa_key_free(signer);
    return buffer_view(&pem); /* its memory is the caller's */
}

static void serve_certificate(const struct rsa_key *key, uint64_t serial)
{
    struct str certificate = certify(key, serial);
    free(write_file(instance.directory, "server.pem", certificate));
    free_str(certificate);
}

static void expect_certificate_served(void)
{
    struct http_answer answer;
    char *path = NULL;
    size_t len;
    cr_expect(asprintf(&path, "%s/server.pem", instance.directory) > 0);
    char *expected = read_file(path, &len);
    cr_assert_eq(http_once(instance.port, "GET", "/server.pem", NULL, &answer), 200);
    cr_expect(str_equal(answer.body, str_from(expected)));
    http_answer_done(&answer);
    free(expected);
    free(path);
}

Test(frontend_reload, a_renewed_certificate_of_the_same_key_disturbs_nobody)
{
    serve_certificate(server, 3);
    reload(true);
    expect_certificate_served();
    cr_expect_eq(fake_agent_poll_once(&agent, instance.port), 200);
    cr_expect_eq(times_said("serving without session cache"), 0);
}

Test(frontend_reload, a_serial_number_that_agents_would_refuse_is_refused)
{
    serve_certificate(server, 1);
    reload(false);
    cr_expect_eq(times_said("serial number 1"), 1);
    cr_expect_eq(fake_agent_poll_once(&agent, instance.port), 200);
}

/* The key of the fixture becomes `next`, which the fixture then owns. */
static struct rsa_key *rotate(void)
{
    struct rsa_key *next;
    struct buffer pem;
    buffer_init(&pem, 64 * 1024);
    CHECK(rsa_generate(1024, NULL, &next) == 0);
    CHECK(rsa_private_to_pem(next, &pem) == 0);
    free(write_file(instance.directory, "server_key.pem", buffer_view(&pem)));
    buffer_done(&pem);
    serve_certificate(next, 3);
    return next;
}

/* What a real agent does after a failed poll: fetch the certificate, make a cipher for it. */
static void meet_again(struct rsa_key *next)
{
    agent_client_trust(&agent.client, next, "grr");
}

Test(frontend_reload, a_new_key_is_met_by_agents_that_fetch_it_and_opens_nothing_old)
{
    struct rsa_key *next = rotate();
    reload(true);
    expect_certificate_served();
    /* Its cipher was known a moment ago; but no answer could be believed any more. */
    cr_expect_eq(fake_agent_poll_once(&agent, instance.port), 400);
    cr_expect_str_eq(agent.reason, "cipher_decrypt");
    meet_again(next);
    cr_expect_eq(fake_agent_poll_once(&agent, instance.port), 200);
    cr_expect_eq(fake_agent_poll_once(&agent, instance.port), 200);
    rsa_key_free(server);
    server = next;
}

Test(frontend_reload, a_poll_under_way_keeps_the_key_it_began_with)
{
    struct http_client client;
    struct http_answer answer;
    struct str packet = fake_agent_packet(&agent);
    char head[128];
    http_connect(&client, instance.port);
    int len = snprintf(head, sizeof head,
                       "POST /control?api=3 HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
                       packet.len);
    cr_assert(http_send(&client, str_make(head, (size_t)len)));
    cr_assert(http_send(&client, str_first(packet, packet.len / 2)));
    /* So that the head was seen: connections of one thread are served in turn. */
    sleep_for(200 * USEC_PER_MSEC);
    struct rsa_key *next = rotate();
    reload(true);
    cr_assert(http_send(&client, str_skip(packet, packet.len / 2)));
    cr_assert(http_read(&client, false, &answer));
    cr_expect_eq(answer.status, 200);
    http_answer_done(&answer);
    http_close(&client);
    free_str(packet);
    rsa_key_free(server);
    server = next;
}

Test(frontend_reload, many_in_a_row_lose_no_poll)
{
    enum { RELOADS = 20 };
    struct http_client client;
    http_connect(&client, instance.port);
    for (int i = 0; i < RELOADS; i++) {
        kill(instance.process.pid, SIGHUP);
        for (int j = 0; j < 20; j++) {
            cr_assert_eq(fake_agent_poll(&agent, &client), 200);
        }
    }
    http_close(&client);
    cr_expect(says_soon("event=reloaded", 1));
    cr_expect_eq(times_said("reload failed"), 0);
}
