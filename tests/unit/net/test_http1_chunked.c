/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "net/http1_chunked.h"
#include "support/support.h"

static struct http1_chunked chunked;
static char body_bytes[1 << 18];
static struct str body;
static struct http1_refusal refusal;

/* All of `text`; bytes used, or -EBADMSG with refusal.offset from the start of `text`. */
static ssize_t decode_within(struct http1_chunked_limits limits, struct str text)
{
    size_t used = 0;
    ssize_t n;
    struct guarded copy = guarded_copy(text);
    http1_chunked_init(&chunked);
    body = str_make(body_bytes, 0);
    do {
        struct str data;
        struct str rest = str_skip(str_make(copy.data, copy.len), used);
        n = http1_chunked_decode(&chunked, &limits, rest, &data, &refusal);
        if (n < 0) {
            refusal.offset += used;
            return n;
        }
        cr_assert_leq(body.len + data.len, sizeof body_bytes);
        memcpy(body_bytes + body.len, data.data, data.len);
        body.len += data.len;
        used += (size_t)n;
    } while (n > 0);
    return (ssize_t)used;
}

static void assert_decoded(const char *text, const char *data)
{
    ssize_t n = decode_within(HTTP1_CHUNKED_LIMITS_DEFAULT, str_from(text));
    cr_assert_eq(n, (ssize_t)strlen(text), "%s at %zu: %s", http1_reason_code(refusal.reason),
                 refusal.offset, text);
    cr_assert(http1_chunked_is_done(&chunked));
    cr_assert(str_equal(body, str_from(data)));
}

static void assert_refused(const char *text, enum http1_reason reason)
{
    ssize_t n = decode_within(HTTP1_CHUNKED_LIMITS_DEFAULT, str_from(text));
    cr_assert_eq(n, -EBADMSG, "accepted: %s", text);
    cr_assert_eq(refusal.reason, reason, "%s, not %s: %s", http1_reason_code(refusal.reason),
                 http1_reason_code(reason), text);
}

Test(http1_chunked, finds_the_data)
{
    assert_decoded("0\r\n\r\n", "");
    assert_decoded("3\r\nabc\r\n0\r\n\r\n", "abc");
    assert_decoded("3\r\n\r\n0\r\n1\r\n\n\r\n00000\r\n\r\n", "\r\n0\n");
    assert_decoded("000000000000000A\r\n0123456789\r\n0000000000000000\r\n\r\n", "0123456789");
}

Test(http1_chunked, stops_behind_the_last_line)
{
    ssize_t n = decode_within(HTTP1_CHUNKED_LIMITS_DEFAULT, STR("1\r\nx\r\n0\r\n\r\nGET / HTTP"));
    cr_assert_eq(n, 11);
    cr_assert(http1_chunked_is_done(&chunked));
}

Test(http1_chunked, drops_extensions_and_trailers)
{
    assert_decoded("3;a\r\nabc\r\n0;b=c\r\n\r\n", "abc");
    assert_decoded("3;a=b;c=\"d;\\\"\t\xe9\";e\r\nabc\r\n0\r\n\r\n", "abc");
    assert_decoded("0\r\nX-A: b\r\nEmpty:\r\nContent-Length: 7\r\n\r\n", "");
}

Test(http1_chunked, refuses_sizes_that_somebody_could_read_otherwise)
{
    static const char *const bad[] = {"",   "\r\n", "x\r\n",  "0x3\r\n", "3 \r\n",
                                      " 3", "-3",   "+3\r\n", "3\t\r\n", "3_0\r\n"};
    for (size_t i = 1; i < ARRAY_LEN(bad); i++) {
        assert_refused(bad[i], HTTP1_REASON_CHUNK_SIZE);
    }
    assert_refused("00000000000000003\r\n", HTTP1_REASON_CHUNK_SIZE);
    assert_refused("8000000000000000\r\n", HTTP1_REASON_CHUNK_SIZE);
    assert_refused("ffffffffffffffff\r\n", HTTP1_REASON_CHUNK_SIZE);
    assert_refused("3\n", HTTP1_REASON_BARE_LF);
    assert_refused("3\r\r\n", HTTP1_REASON_BARE_CR);
}

Test(http1_chunked, takes_the_largest_size_there_is)
{
    cr_assert_eq(decode_within(HTTP1_CHUNKED_LIMITS_DEFAULT, STR("7fffffffffffffff\r\nab")), 20);
    cr_assert_eq(chunked.left, INT64_MAX - 2);
}

Test(http1_chunked, refuses_broken_extensions)
{
    static const char *const bad[] = {"3;\r\n",       "3;=a\r\n",       "3;a=\r\n",    "3;a b\r\n",
                                      "3; a\r\n",     "3;a=\"b\"c\r\n", "3;a=b c\r\n", "3;;\r\n",
                                      "3;a=\"\x01\"", "3;a=\"\\\x7f"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_refused(bad[i], HTTP1_REASON_CHUNK_EXTENSION);
    }
    assert_refused("3;a\n", HTTP1_REASON_BARE_LF);
    assert_refused("3;a=\"b\n", HTTP1_REASON_BARE_LF);
}

Test(http1_chunked, bounds_extensions)
{
    struct http1_chunked_limits limits = HTTP1_CHUNKED_LIMITS_DEFAULT;
    limits.extension_bytes = 4;
    cr_assert_gt(decode_within(limits, STR("1;abc\r\nx\r\n1;abc\r\ny\r\n0\r\n\r\n")), 0);
    cr_assert(http1_chunked_is_done(&chunked));
    cr_assert_lt(decode_within(limits, STR("1;abcde\r\nx\r\n")), 0);
    cr_assert_eq(refusal.reason, HTTP1_REASON_CHUNK_EXTENSION);
}

Test(http1_chunked, refuses_broken_ends_and_trailers)
{
    assert_refused("1\r\nxy\r\n", HTTP1_REASON_CHUNK_END);
    assert_refused("1\r\nx\n0\r\n\r\n", HTTP1_REASON_BARE_LF);
    assert_refused("1\r\nx\rx", HTTP1_REASON_BARE_CR);
    assert_refused("0\r\n folded\r\n\r\n", HTTP1_REASON_TRAILER);
    assert_refused("0\r\nA b: c\r\n\r\n", HTTP1_REASON_TRAILER);
    assert_refused("0\r\n: c\r\n\r\n", HTTP1_REASON_TRAILER);
    assert_refused("0\r\nA: \x01\r\n\r\n", HTTP1_REASON_TRAILER);
    assert_refused("0\r\nA: b\n\r\n", HTTP1_REASON_BARE_LF);
    assert_refused("0\r\nA: b\rc\r\n\r\n", HTTP1_REASON_BARE_CR);
    assert_refused("0\r\n\rx", HTTP1_REASON_BARE_CR);
}

Test(http1_chunked, bounds_trailers)
{
    struct http1_chunked_limits limits = HTTP1_CHUNKED_LIMITS_DEFAULT;
    limits.trailer_bytes = 10;
    cr_assert_gt(decode_within(limits, STR("0\r\nA: b\r\nC:\r\n\r\n")), 0);
    cr_assert_lt(decode_within(limits, STR("0\r\nA: b\r\nC: d\r\n\r\n")), 0);
    cr_assert_eq(refusal.reason, HTTP1_REASON_TRAILER_TOO_LARGE);
}

Test(http1_chunked, bounds_the_body_before_its_bytes_come)
{
    struct http1_chunked_limits limits = HTTP1_CHUNKED_LIMITS_DEFAULT;
    limits.body_bytes = 4;
    cr_assert_gt(decode_within(limits, STR("2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n")), 0);
    cr_assert(http1_chunked_is_done(&chunked));
    cr_assert_lt(decode_within(limits, STR("2\r\nab\r\n3\r\n")), 0);
    cr_assert_eq(refusal.reason, HTTP1_REASON_BODY_TOO_LARGE);
    cr_assert_lt(decode_within(limits, STR("7fffffffffffffff\r\n")), 0);
    cr_assert_eq(refusal.reason, HTTP1_REASON_BODY_TOO_LARGE);
}

static int decode_repeated(const char *chunk, unsigned times)
{
    struct buffer text;
    buffer_init(&text, 8 << 20);
    for (unsigned i = 0; i < times; i++) {
        cr_assert_eq(buffer_append(&text, str_from(chunk)), 0);
    }
    ssize_t n = decode_within(HTTP1_CHUNKED_LIMITS_DEFAULT, buffer_view(&text));
    buffer_done(&text);
    return n < 0 ? (int)refusal.reason : 0;
}

Test(http1_chunked, refuses_framing_that_dwarfs_the_data)
{
    /* Five bytes of framing for one of data is how small writers write; it may go on for ever. */
    cr_assert_eq(decode_repeated("1\r\nx\r\n", 100000), 0);
    cr_assert_eq(decode_repeated("1;aaaaaaaaaaaaaaaa\r\nx\r\n", 100000),
                 HTTP1_REASON_CHUNK_OVERHEAD);
    cr_assert_eq(decode_repeated("000000000000001;a=b\r\nx\r\n", 100), 0);
}
