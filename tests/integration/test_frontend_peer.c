/* SPDX-License-Identifier: Apache-2.0 */
/* Where agents come from, as the operator is told: through proxies that are trusted, through others
 * that are not, over IPv4 and IPv6. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "net/address.h"
#include "support/fake_agent.h"
#include "support/instance.h"
#include "support/operator.h"
#include "support/support.h"

#define STOP_PATIENCE (20 * USEC_PER_SEC)
#define SEEN_PATIENCE (5 * USEC_PER_SEC)

static struct {
    struct rsa_key *server;
    struct instance_keys keys;
    struct instance instance;
    struct fake_agent agent;
} scene;

static void prepare(void)
{
    CHECK(rsa_generate(1024, NULL, &scene.server) == 0);
    instance_keys_make(scene.server, &scene.keys);
    instance_init(&scene.instance, &scene.keys);
    fake_agent_init(&scene.agent, scene.server);
}

static void clean_up(void)
{
    instance_done(&scene.instance);
    fake_agent_done(&scene.agent);
    instance_keys_free(&scene.keys);
    rsa_key_free(scene.server);
}

static void end(void)
{
    cr_expect_eq(instance_stop(&scene.instance, STOP_PATIENCE), 0);
}

/* One poll with these lines in its head: the status, 0 when nobody listens there. */
static unsigned poll_from(const char *source, const char *target, const char *lines)
{
    struct http_client client;
    struct http_answer answer;
    char head[2048];
    unsigned status = 0;
    struct str packet = fake_agent_packet(&scene.agent);
    int len = snprintf(head, sizeof head,
                       "POST /control?api=3 HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n",
                       lines, packet.len);
    CHECK(len > 0 && (size_t)len < sizeof head);
    if (http_try_connect_to(&client, source, target, scene.instance.port) == 0) {
        http_send(&client, str_from(head));
        http_send(&client, packet);
        if (http_read(&client, false, &answer)) {
            status = answer.status;
            http_answer_done(&answer);
        }
        http_close(&client);
    }
    free((void *)(uintptr_t)packet.data);
    return status;
}

static void read_last_ip(char *out, size_t size)
{
    json_t *agents = OPERATOR(&scene.instance, "agents", "show", fake_agent_id(&scene.agent));
    const char *text = json_string_value(json_object_get(json_array_get(agents, 0), "last_ip"));
    snprintf(out, size, "%s", text == NULL ? "none" : text);
    json_decref(agents);
}

/* Where an agent was seen is written a moment later. */
static void expect_seen_at(const char *wanted, const char *what)
{
    char seen[64];
    usec_t deadline = clock_monotonic(&clock_system) + SEEN_PATIENCE;
    read_last_ip(seen, sizeof seen);
    while (strcmp(seen, wanted) != 0 && clock_monotonic(&clock_system) < deadline) {
        sleep_for(20000);
        read_last_ip(seen, sizeof seen);
    }
    cr_expect_str_eq(seen, wanted, "%s: %s", what, seen);
}

/* ---- proxies ---- */

struct forwarding {
    const char *source;
    const char *lines;
    const char *seen;
};

static void expect_forwardings(const struct forwarding *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cr_expect_eq(poll_from(cases[i].source, "127.0.0.1", cases[i].lines), 200, "%s",
                     cases[i].lines);
        expect_seen_at(cases[i].seen, cases[i].lines);
    }
}

static void begin_behind_proxies(void)
{
    instance_set(&scene.instance, "Frontend.trusted_proxies=127.0.0.1,10.0.0.0/8,fd00::/8");
    instance_start(&scene.instance);
    fake_agent_ask(&scene.agent);
    cr_assert_eq(poll_from(NULL, "127.0.0.1", ""), 200);
}

Test(frontend_peer, a_trusted_proxy_tells_who_it_was, .init = prepare, .fini = clean_up)
{
    static const struct forwarding cases[] = {
        {"127.0.0.1", "X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"},
        {"127.0.0.1", "", "127.0.0.1"},
        {"127.0.0.1", "x-forwarded-for: 2001:db8::17\r\n", "2001:db8::17"},
        {"127.0.0.1", "X-Forwarded-For: ::ffff:192.0.2.8\r\n", "192.0.2.8"},
        /* Several hops: what trusted ones saw counts, what they were told does not. */
        {"127.0.0.1", "X-Forwarded-For: 192.0.2.9, 10.1.2.3\r\n", "192.0.2.9"},
        {"127.0.0.1", "X-Forwarded-For: 203.0.113.1, 192.0.2.10,10.1.2.3 , fd00::1\r\n",
         "192.0.2.10"},
        {"127.0.0.1", "X-Forwarded-For: 10.9.9.9, 10.1.2.3\r\n", "10.9.9.9"},
        /* Each hop may have added a field of its own. */
        {"127.0.0.1",
         "X-Forwarded-For: 203.0.113.2\r\nX-Forwarded-For: 192.0.2.11\r\n"
         "X-Forwarded-For: 10.1.2.3\r\n",
         "192.0.2.11"},
    };
    begin_behind_proxies();
    expect_forwardings(cases, ARRAY_LEN(cases));
    end();
}

Test(frontend_peer, nobody_else_is_believed, .init = prepare, .fini = clean_up)
{
    static const struct forwarding cases[] = {
        {"127.0.0.2", "X-Forwarded-For: 192.0.2.7\r\n", "127.0.0.2"},
        {"127.0.0.3", "X-Forwarded-For: 127.0.0.1\r\n", "127.0.0.3"},
        {"127.0.0.4", "X-Forwarded-For: 192.0.2.7, 10.0.0.1\r\n", "127.0.0.4"},
        /* Names for the same that we do not follow. */
        {"127.0.0.1", "X-Real-IP: 192.0.2.30\r\nForwarded: for=192.0.2.31\r\n", "127.0.0.1"},
    };
    begin_behind_proxies();
    expect_forwardings(cases, ARRAY_LEN(cases));
    end();
}

/* The last one that is an address counts, were it the proxy's own. */
Test(frontend_peer, garbage_is_nobodys_address, .init = prepare, .fini = clean_up)
{
    static char many[1200];
    const struct forwarding cases[] = {
        {"127.0.0.1", "X-Forwarded-For: 192.0.2.20\r\n", "192.0.2.20"},
        {"127.0.0.1", "X-Forwarded-For: \r\n", "127.0.0.1"},
        {"127.0.0.1", "X-Forwarded-For: 192.0.2.21, unknown, 10.0.0.1\r\n", "10.0.0.1"},
        {"127.0.0.1", "X-Forwarded-For: 192.0.2.22,\r\n", "127.0.0.1"},
        {"127.0.0.1", "X-Forwarded-For: ,,,,,, 10.0.0.2\r\n", "10.0.0.2"},
        {"127.0.0.1", "X-Forwarded-For: 192.0.2.999\r\n", "127.0.0.1"},
        {"127.0.0.1", "X-Forwarded-For: /run/socket, 10.0.0.3\r\n", "10.0.0.3"},
        {"127.0.0.1", "X-Forwarded-For: 192.0.2.23\"; DROP TABLE agents\r\n", "127.0.0.1"},
        {"127.0.0.1", many, "10.0.0.4"},
    };
    int len = snprintf(many, sizeof many, "X-Forwarded-For: 192.0.2.50");
    for (int i = 0; i < 90; i++) {
        len += snprintf(many + len, sizeof many - (size_t)len, ", x");
    }
    snprintf(many + len, sizeof many - (size_t)len, ", 10.0.0.4\r\n");
    begin_behind_proxies();
    expect_forwardings(cases, ARRAY_LEN(cases));
    end();
}

Test(frontend_peer, this_machine_is_trusted_unless_told_otherwise, .init = prepare,
     .fini = clean_up)
{
    static const struct forwarding trusting[] = {
        {"127.0.0.9", "X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"},
    };
    static const struct forwarding distrusting[] = {
        {"127.0.0.9", "X-Forwarded-For: 192.0.2.7\r\n", "127.0.0.9"},
    };
    instance_start(&scene.instance);
    fake_agent_ask(&scene.agent);
    expect_forwardings(trusting, ARRAY_LEN(trusting));
    end();
    instance_set(&scene.instance, "Frontend.trusted_proxies=10.0.0.1");
    instance_start(&scene.instance);
    expect_forwardings(distrusting, ARRAY_LEN(distrusting));
    end();
}

/* ---- families ---- */

static bool has_ipv6(void)
{
    const struct address address = {
        .ipv6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT},
        .len = sizeof address.ipv6};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool can = fd >= 0 && bind(fd, &address.any, address.len) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return can;
}

static void begin_at(const char *parameter)
{
    instance_set(&scene.instance, parameter);
    instance_start(&scene.instance);
    fake_agent_ask(&scene.agent);
}

Test(frontend_peer, ipv4_alone, .init = prepare, .fini = clean_up)
{
    begin_at("Frontend.bind_address=0.0.0.0");
    cr_expect_eq(poll_from("127.0.0.5", "127.0.0.1", ""), 200);
    expect_seen_at("127.0.0.5", "IPv4");
    cr_expect_eq(poll_from(NULL, "::1", ""), 0);
    end();
}

Test(frontend_peer, ipv6_alone, .init = prepare, .fini = clean_up)
{
    if (!has_ipv6()) {
        SKIP_TEST("this machine has no IPv6");
    }
    begin_at("Frontend.bind_address=::1");
    cr_expect_eq(poll_from(NULL, "::1", ""), 200);
    expect_seen_at("::1", "IPv6");
    cr_expect_eq(poll_from(NULL, "::1", "X-Forwarded-For: 2001:db8::1, ::1\r\n"), 200);
    expect_seen_at("2001:db8::1", "through a proxy on IPv6");
    cr_expect_eq(poll_from(NULL, "127.0.0.1", ""), 0);
    end();
}

/* IPv4 looks like IPv4, and a rule for IPv4 proxies holds for them. */
Test(frontend_peer, both_at_once, .init = prepare, .fini = clean_up)
{
    if (!has_ipv6()) {
        SKIP_TEST("this machine has no IPv6");
    }
    instance_set(&scene.instance, "Frontend.trusted_proxies=127.0.0.1");
    begin_at("Frontend.bind_address=::");
    cr_expect_eq(poll_from("127.0.0.5", "127.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n"), 200);
    expect_seen_at("127.0.0.5", "IPv4, not trusted");
    cr_expect_eq(poll_from("127.0.0.1", "127.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n"), 200);
    expect_seen_at("192.0.2.1", "IPv4, trusted");
    cr_expect_eq(poll_from(NULL, "::1", "X-Forwarded-For: 192.0.2.2\r\n"), 200);
    expect_seen_at("::1", "IPv6, not trusted");
    end();
}
