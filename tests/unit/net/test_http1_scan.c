/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "net/http1_scan.h"
#include "support/support.h"

/* The fast scan and the scalar one see the same bytes alike, at every length and alignment, flush
 * against an unreadable page. */
Test(http1_scan, value_scan_equals_the_scalar_one)
{
    uint64_t seed = 0x9e3779b97f4a7c15ULL;
    for (int round = 0; round < 20000; round++) {
        char text[96];
        size_t len = next_random(&seed) % sizeof text;
        /* Mostly value bytes, so that stops fall anywhere. */
        for (size_t i = 0; i < len; i++) {
            uint64_t random = next_random(&seed);
            text[i] = random % 40 == 0 ? (char)(random >> 8) : (char)(' ' + (random >> 8) % 95);
        }
        struct guarded copy = guarded_copy(str_make(text, len));
        const char *end = copy.data + copy.len;
        cr_assert_eq(http1_skip_value(copy.data, end), http1_skip(copy.data, end, HTTP1_IS_VALUE));
        guarded_free(&copy);
    }
}

Test(http1_scan, stops_at_each_control_byte_and_at_no_other)
{
    for (int byte = 0; byte < 256; byte++) {
        for (int at = 0; at < 40; at++) {
            char text[40];
            memset(text, 'x', sizeof text);
            text[at] = (char)byte;
            bool is_control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
            cr_assert_eq(http1_skip_value(text, text + sizeof text) - text,
                         is_control ? at : (int)sizeof text, "byte %02x at %d", byte, at);
        }
    }
}

/* RFC 9110 5.6.2, spelt out. */
Test(http1_scan, knows_the_token_bytes)
{
    const char *others = "!#$%&'*+-.^_`|~";
    for (int byte = 0; byte < 256; byte++) {
        bool is_alnum = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                        (byte >= 'A' && byte <= 'Z');
        bool is_token = is_alnum || (byte != 0 && strchr(others, byte) != NULL);
        cr_assert_eq(http1_is((char)byte, HTTP1_IS_TOKEN), is_token, "byte %02x", byte);
    }
}

Test(http1_scan, lets_no_ambiguous_byte_into_a_target)
{
    for (int byte = 0; byte < 256; byte++) {
        bool is_refused = byte <= 0x20 || byte >= 0x7f || strchr("\"#<>\\", byte) != NULL;
        cr_assert_eq(http1_is((char)byte, HTTP1_IS_TARGET), !is_refused, "byte %02x", byte);
    }
}
