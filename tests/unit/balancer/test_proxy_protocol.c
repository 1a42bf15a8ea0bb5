/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY protocol headers, whole and in pieces, each piece at the edge of unreadable memory. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "net/http1.h"
#include "proxy_protocol.h"
#include "support/support.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define IPV4_BLOCK "\xcb\x00\x71\x07\x7f\x00\x00\x01\x12\x34\x00\x50"

/* Whole and byte by byte, guarded: the same result, and none before its time. */
static ssize_t parse(struct str text, struct proxy_header *header)
{
    for (size_t len = 0; len <= text.len; len++) {
        struct guarded copy = guarded_copy(str_first(text, len));
        ssize_t n = proxy_protocol_parse(str_make(copy.data, copy.len), header);
        guarded_free(&copy);
        if (n != 0) {
            struct proxy_header again;
            cr_assert_eq(proxy_protocol_parse(text, &again), n);
            cr_assert(n < 0 || (size_t)n == len, "told as soon as it is whole");
            return n;
        }
    }
    return 0;
}

static void assert_client(const struct proxy_header *header, const char *client, const char *server)
{
    char text[ADDRESS_TEXT_SIZE];
    cr_assert(header->has_client);
    cr_assert_str_eq(address_format(&header->client, text), client);
    cr_assert_str_eq(address_format(&header->server, text), server);
}

Test(proxy_protocol, reads_version_1)
{
    struct proxy_header header;
    struct str text = STR("PROXY TCP4 203.0.113.7 127.0.0.1 1 65535\r\nGET / HTTP/1.1\r\n");
    cr_assert_eq(parse(text, &header), 42);
    assert_client(&header, "203.0.113.7:1", "127.0.0.1:65535");
    cr_assert_gt(parse(STR("PROXY TCP6 2001:db8::7 ::1 1 0\r\n"), &header), 0);
    assert_client(&header, "[2001:db8::7]:1", "[::1]:0");
    static const char *const unknown[] = {"PROXY UNKNOWN\r\n", "PROXY UNKNOWN ff:: what 1 2 3\r\n"};
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(parse(str_from(unknown[i]), &header), (ssize_t)strlen(unknown[i]));
        cr_assert_not(header.has_client);
        cr_assert_eq(header.client.len, 0);
    }
}

Test(proxy_protocol, refuses_other_lines)
{
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXX",
        "proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 999.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
        "PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 ::1 2.2.2.2 1 2\r\n",
        "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rX",
        "PROXY UNKNOWNS\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct proxy_header header;
        cr_assert_eq(parse(str_from(bad[i]), &header), -EBADMSG, "%s", bad[i]);
    }
    struct proxy_header header;
    cr_assert_eq(parse(STR("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\0\r\n"), &header), -EBADMSG);
    cr_assert_eq(parse(STR("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n"), &header), 0, "no CR yet");
    cr_assert_eq(parse(STR("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n\r\n"), &header), -EBADMSG);
}

Test(proxy_protocol, bounds_the_line)
{
    char text[200];
    struct proxy_header header;
    memset(text, 'x', sizeof text);
    memcpy(text, "PROXY UNKNOWN ", 14);
    cr_assert_eq(parse(str_make(text, 106), &header), 0);
    cr_assert_eq(parse(str_make(text, 107), &header), -EBADMSG);
    memcpy(text + 105, "\r\n", 2);
    cr_assert_eq(parse(str_make(text, 200), &header), 107);
    text[105] = 'x';
    memcpy(text + 106, "\r\n", 2);
    cr_assert_eq(parse(str_make(text, 200), &header), -EBADMSG);
}

Test(proxy_protocol, reads_version_2)
{
    struct proxy_header header;
    cr_assert_eq(parse(STR(SIGNATURE "\x21\x11\x00\x0c" IPV4_BLOCK "GET"), &header), 28);
    assert_client(&header, "203.0.113.7:4660", "127.0.0.1:80");
    struct str ipv6 = STR(SIGNATURE "\x21\x21\x00\x24"
                                    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
                                    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"
                                    "\x00\x01\x00\x02");
    cr_assert_eq(parse(ipv6, &header), 52);
    assert_client(&header, "[2001:db8::7]:1", "[::1]:2");
}

Test(proxy_protocol, keeps_the_peer_of_local_connections)
{
    struct proxy_header header;
    cr_assert_eq(parse(STR(SIGNATURE "\x20\x00\x00\x00"), &header), 16);
    cr_assert_not(header.has_client);
    cr_assert_eq(parse(STR(SIGNATURE "\x20\x11\x00\x0c" IPV4_BLOCK), &header), 28);
    cr_assert_not(header.has_client);
    cr_assert_eq(parse(STR(SIGNATURE "\x21\x00\x00\x02xx"), &header), 18);
    cr_assert_not(header.has_client);
}

Test(proxy_protocol, ignores_the_addresses_of_unix_sockets)
{
    char text[16 + 216] = SIGNATURE "\x21\x31\x00\xd8";
    struct proxy_header header;
    cr_assert_eq(parse(str_make(text, sizeof text), &header), (ssize_t)sizeof text);
    cr_assert_not(header.has_client);
}

Test(proxy_protocol, checks_and_skips_values)
{
    struct proxy_header header;
    cr_assert_eq(
        parse(STR(SIGNATURE "\x21\x11\x00\x14" IPV4_BLOCK "\x04\x00\x02xx\x20\x00\x00"), &header),
        36);
    assert_client(&header, "203.0.113.7:4660", "127.0.0.1:80");
    static const struct str bad[] = {
        STR(SIGNATURE "\x21\x11\x00\x0d" IPV4_BLOCK "\x04"),
        STR(SIGNATURE "\x21\x11\x00\x0e" IPV4_BLOCK "\x04\x00"),
        STR(SIGNATURE "\x21\x11\x00\x0f" IPV4_BLOCK "\x04\x00\x01"),
        STR(SIGNATURE "\x21\x11\x00\x10" IPV4_BLOCK "\x04\x00\x02x"),
        STR(SIGNATURE "\x21\x11\x00\x10" IPV4_BLOCK "\x04\xff\xffx"),
        STR(SIGNATURE "\x21\x11\x00\x11" IPV4_BLOCK "\x04\x00\x01x\x04"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        cr_assert_eq(parse(bad[i], &header), -EBADMSG, "number %zu", i);
    }
}

Test(proxy_protocol, refuses_other_blocks)
{
    static const struct str bad[] = {
        STR("\r\n\r\n\0\r\nQUIT\r"),
        STR("\r\n\r\nX"),
        STR(SIGNATURE "\x11"),
        STR(SIGNATURE "\x22"),
        STR(SIGNATURE "\x31"),
        STR(SIGNATURE "\x21\x11\x0f\xf1"), /* 4097 bytes in all */
        STR(SIGNATURE "\x20\x00\xff\xff"),
        STR(SIGNATURE "\x21\x11\x00\x0b\xcb\x00\x71\x07\x7f\x00\x00\x01\x12\x34\x00"),
        STR(SIGNATURE "\x21\x12\x00\x0c" IPV4_BLOCK),
        STR(SIGNATURE "\x21\x13\x00\x0c" IPV4_BLOCK),
        STR(SIGNATURE "\x21\x41\x00\x0c" IPV4_BLOCK),
        STR(SIGNATURE "\x21\x21\x00\x0c" IPV4_BLOCK),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct proxy_header header;
        cr_assert_eq(parse(bad[i], &header), -EBADMSG, "number %zu", i);
    }
}

Test(proxy_protocol, bounds_the_block)
{
    static char text[PROXY_PROTOCOL_V2_MAX] = SIGNATURE "\x20\x00\x0f\xf0";
    struct proxy_header header;
    cr_assert_eq(proxy_protocol_parse(str_make(text, sizeof text - 1), &header), 0);
    cr_assert_eq(proxy_protocol_parse(str_make(text, sizeof text), &header), PROXY_PROTOCOL_V2_MAX);
}

/* Behind the first header comes HTTP, and no second header is that. */
Test(proxy_protocol, is_no_request)
{
    static const struct str headers[] = {STR("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\nHost: a\r\n\r\n"),
                                         STR(SIGNATURE "\x21\x11\x00\x0c" IPV4_BLOCK)};
    for (size_t i = 0; i < 2; i++) {
        struct http1_field fields[HTTP1_FIELDS_DEFAULT];
        struct http1_request request;
        struct http1_refusal refusal;
        http1_request_init(&request, fields);
        cr_assert_eq(http1_request_parse(&request, &HTTP1_LIMITS_DEFAULT, headers[i], &refusal),
                     -EBADMSG);
    }
}
