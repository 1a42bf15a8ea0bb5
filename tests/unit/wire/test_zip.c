/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded zlib: what passes, what is cut short, and that limits hold. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "support/support.h"
#include "wire/zip.h"

static struct zip *zip;
static struct buffer out, back;

static void set_up(void)
{
    cr_assert_eq(zip_new(&zip), 0);
    buffer_init(&out, 8 << 20);
    buffer_init(&back, 8 << 20);
}

static void tear_down(void)
{
    zip_free(zip);
    buffer_done(&out);
    buffer_done(&back);
}

TestSuite(zip, .init = set_up, .fini = tear_down);

static enum wire_reason inflate_all(struct str in, struct zip_limits limits)
{
    enum wire_reason reason = WIRE_NO_REASON;
    struct guarded guarded = guarded_copy(in);
    buffer_clear(&back);
    int error = zip_inflate(zip, str_make(guarded.data, guarded.len), &limits, &back, &reason);
    cr_expect_eq(error < 0, reason != WIRE_NO_REASON);
    guarded_free(&guarded);
    return reason;
}

Test(zip, comes_back_and_is_only_used_when_smaller)
{
    char text[3000];
    uint64_t random = 3;
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)('a' + i % 7);
    }
    for (int round = 0; round < 3; round++) {
        buffer_clear(&out);
        cr_assert_eq(zip_deflate(zip, str_make(text, sizeof text), &out), 1);
        cr_expect_lt(buffer_size(&out), 300);
        cr_expect_eq(inflate_all(buffer_view(&out), ZIP_LIMITS_DEFAULT), WIRE_NO_REASON);
        cr_expect(str_equal(buffer_view(&back), str_make(text, sizeof text)));
    }
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)next_random(&random);
    }
    buffer_clear(&out);
    cr_expect_eq(zip_deflate(zip, str_make(text, sizeof text), &out), 0);
    cr_expect_eq(zip_deflate(zip, STR("x"), &out), 0);
    cr_expect_eq(zip_deflate(zip, STR(""), &out), 0);
    cr_expect_eq(buffer_size(&out), 0);
}

Test(zip, cut_anywhere_or_followed_by_more_is_refused)
{
    cr_assert_eq(zip_deflate(zip, STR("abcabcabcabcabcabcabcabcabcabcabc"), &out), 1);
    struct str whole = buffer_view(&out);
    for (size_t len = 0; len < whole.len; len++) {
        cr_expect_eq(inflate_all(str_first(whole, len), ZIP_LIMITS_DEFAULT), WIRE_REASON_INFLATE);
    }
    cr_expect_eq(inflate_all(whole, ZIP_LIMITS_DEFAULT), WIRE_NO_REASON);
    cr_assert_eq(buffer_append(&out, STR("x")), 0);
    cr_expect_eq(inflate_all(buffer_view(&out), ZIP_LIMITS_DEFAULT), WIRE_REASON_INFLATE);
}

Test(zip, limits_hold_to_the_byte)
{
    char *zeros = calloc(1, 1 << 20);
    cr_assert_eq(zip_deflate(zip, str_make(zeros, 1 << 20), &out), 1);
    struct str packed = buffer_view(&out);
    struct zip_limits limits = {.bytes = 1 << 20, .ratio = 2000, .free_bytes = 0};
    cr_expect_eq(inflate_all(packed, limits), WIRE_NO_REASON);
    limits.bytes--;
    cr_expect_eq(inflate_all(packed, limits), WIRE_REASON_INFLATE_SIZE);
    limits = (struct zip_limits){.bytes = 1 << 20, .ratio = 20, .free_bytes = 1 << 16};
    cr_expect_eq(inflate_all(packed, limits), WIRE_REASON_INFLATE_RATIO);
    cr_expect_lt(back.end, 1 << 19);
    limits.free_bytes = 1 << 20;
    cr_expect_eq(inflate_all(packed, limits), WIRE_NO_REASON);
    free(zeros);
}
