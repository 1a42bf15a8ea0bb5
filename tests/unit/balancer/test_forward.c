/* SPDX-License-Identifier: Apache-2.0 */
/* What members are told about clients. */
#include "forward.h"

#include <string.h>

#include "rules_of.h"

#define VIA "1.1 portico-00c0ffee"

static struct rules *rules;
static struct exchange_pool pool;
static struct exchange *exchange;
static struct http1_extra extras[FORWARD_EXTRAS];
static size_t extra_count;

/* Forward a request with these header lines that `peer` sent. */
static void forward(const char *peer, const char *lines)
{
    struct address address;
    struct http1_refusal refusal;
    struct forward_context context = {.rules = rules, .via = VIA, .request_id = 0x123};
    char text[2048];
    if (exchange != NULL) {
        exchange_give(&pool, exchange);
    }
    exchange = exchange_take(&pool, rules);
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", lines);
    cr_assert_eq(buffer_append(&exchange->input, str_from(text)), 0);
    cr_assert_gt(http1_request_parse(&exchange->request, &exchange->limits,
                                     buffer_view(&exchange->input), &refusal),
                 0, "%s", http1_reason_code(refusal.reason));
    cr_assert_eq(address_from_host(str_from(peer), 0, &address, NULL), 0);
    cr_assert(address_to_ip(&address, &context.peer));
    extra_count = forward_fields(&context, exchange, extras);
}

static struct str told(const char *name)
{
    for (size_t i = 0; i < extra_count; i++) {
        if (str_equal_nocase(extras[i].name, str_from(name))) {
            return extras[i].value;
        }
    }
    return str_make(NULL, 0);
}

static void assert_told(const char *name, const char *value)
{
    struct str found = told(name);
    cr_assert(str_equal(found, str_from(value)), "%s: %.*s, not %s", name, STR_ARG(found), value);
}

static void assert_client(const char *client)
{
    cr_assert(str_equal(exchange->client_name, str_from(client)), "%.*s, not %s",
              STR_ARG(exchange->client_name), client);
}

static void trust(const char *networks)
{
    char parameter[256];
    snprintf(parameter, sizeof parameter, "Balancer.trusted_proxies=%s", networks);
    rules = RULES_OF(parameter);
}

Test(forward, believes_no_stranger)
{
    trust("192.0.2.1");
    forward("198.51.100.7", "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n"
                            "X-Request-Id: mine\r\nForwarded: for=1.2.3.4\r\n"
                            "X-Real-IP: 1.2.3.4\r\n");
    assert_told("X-Forwarded-For", "198.51.100.7");
    assert_told("X-Forwarded-Proto", "http");
    assert_told("X-Request-Id", "0000000000000123");
    assert_told("Via", VIA);
    cr_assert_eq(extra_count, 4);
    assert_client("198.51.100.7");
}

Test(forward, believes_those_whom_it_trusts)
{
    trust("192.0.2.1");
    forward("192.0.2.1", "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n"
                         "X-Request-Id: abc-1\r\nX-Real-IP: 203.0.113.7\r\n");
    assert_told("X-Forwarded-For", "203.0.113.7, 192.0.2.1");
    assert_told("X-Forwarded-Proto", "https");
    assert_told("X-Request-Id", "abc-1");
    assert_told("X-Real-IP", "203.0.113.7");
    assert_client("203.0.113.7");
}

Test(forward, finds_the_client_behind_several_proxies)
{
    trust("192.0.2.0/24");
    /* The one that the outermost trusted proxy saw; what stands before it, the client may have
     * made up. */
    forward("192.0.2.1", "X-Forwarded-For: 6.6.6.6, 203.0.113.7\r\nX-Forwarded-For: 192.0.2.9\r\n");
    assert_told("X-Forwarded-For", "6.6.6.6, 203.0.113.7, 192.0.2.9, 192.0.2.1");
    assert_client("203.0.113.7");
}

Test(forward, takes_the_nearest_known_when_a_part_is_no_address)
{
    trust("192.0.2.0/24");
    forward("192.0.2.1", "X-Forwarded-For: unknown\r\n");
    assert_client("192.0.2.1");
    forward("192.0.2.1", "X-Forwarded-For: , ,,\r\n");
    assert_client("192.0.2.1");
}

Test(forward, leaves_out_lists_that_are_none)
{
    trust("192.0.2.1");
    forward("192.0.2.1", "X-Forwarded-For: 1.2.3.4\"; drop\r\n");
    assert_told("X-Forwarded-For", "192.0.2.1");
}

Test(forward, leaves_out_lists_that_are_too_long)
{
    char line[600] = "X-Forwarded-For: ";
    trust("192.0.2.1");
    for (int i = 0; i < 40; i++) {
        strcat(line, "10.0.0.1, ");
    }
    strcat(line, "10.0.0.2\r\n");
    forward("192.0.2.1", line);
    assert_told("X-Forwarded-For", "192.0.2.1");
}

Test(forward, makes_an_id_when_the_one_that_came_is_unfit)
{
    trust("192.0.2.1");
    forward("192.0.2.1", "X-Request-Id: a b\r\n");
    assert_told("X-Request-Id", "0000000000000123");
    forward("192.0.2.1", "X-Request-Id: "
                         "0123456789012345678901234567890123456789012345678901234567890123456\r\n");
    assert_told("X-Request-Id", "0000000000000123");
}

Test(forward, writes_addresses_of_both_families)
{
    trust("192.0.2.1");
    forward("::ffff:10.20.30.255", "");
    assert_told("X-Forwarded-For", "10.20.30.255");
    forward("2001:db8::1", "");
    assert_told("X-Forwarded-For", "2001:db8::1");
}

Test(forward, knows_its_own_name)
{
    trust("192.0.2.1");
    forward("192.0.2.1", "Via: 1.1 other, " VIA "\r\n");
    cr_assert(forward_is_loop(&exchange->request.head, VIA));
    forward("192.0.2.1", "Via: 1.1 portico-00000000\r\n");
    cr_assert(!forward_is_loop(&exchange->request.head, VIA));
    forward("192.0.2.1", "");
    cr_assert(!forward_is_loop(&exchange->request.head, VIA));
}
