/* SPDX-License-Identifier: Apache-2.0 */
/* The wire format: every type there and back, every truncation and overlong number refused. */
#include <criterion/criterion.h>
#include <errno.h>

#include "support/support.h"
#include "wire/field.h"

static int read_one(struct str bytes, struct field *field)
{
    struct guarded guarded = guarded_copy(bytes);
    struct str rest = str_make(guarded.data, guarded.len);
    int more = field_next(&rest, field);
    if (more == 1) {
        cr_expect_eq(rest.len, 0);
    }
    guarded_free(&guarded);
    return more;
}

Test(field, numbers_survive_there_and_back)
{
    static const uint64_t numbers[] = {0,         1, 127, 128, 300, UINT32_MAX, (uint64_t)1 << 63,
                                       UINT64_MAX};
    struct buffer out;
    struct field field;
    buffer_init(&out, 64);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        uint64_t value;
        uint32_t small;
        buffer_clear(&out);
        cr_assert_eq(field_put_uint64(&out, 15, numbers[i]), 0);
        cr_assert_eq(read_one(buffer_view(&out), &field), 1);
        cr_expect_eq(field.number, 15);
        cr_expect_eq(field_uint64(&field, &value), 0);
        cr_expect_eq(value, numbers[i]);
        cr_expect_eq(field_uint32(&field, &small), numbers[i] > UINT32_MAX ? -EBADMSG : 0);
        for (size_t len = 1; len < buffer_size(&out); len++) {
            cr_expect_eq(read_one(str_first(buffer_view(&out), len), &field), -EBADMSG);
        }
    }
    buffer_done(&out);
}

Test(field, bytes_and_floats_have_the_length_that_was_promised)
{
    struct buffer out;
    struct field field;
    struct str bytes;
    buffer_init(&out, 1024);
    cr_assert_eq(field_put_bytes(&out, 1000, STR("hello")), 0);
    cr_expect_eq(buffer_size(&out), field_size(1000, 5));
    struct str rest = buffer_view(&out);
    cr_assert_eq(field_next(&rest, &field), 1);
    cr_expect_eq(field_bytes(&field, &bytes), 0);
    cr_expect(str_equal(bytes, STR("hello")));
    buffer_clear(&out);
    cr_assert_eq(field_put_float(&out, 12, 1.5F), 0);
    cr_expect(str_equal(buffer_view(&out), STR("\x65\x00\x00\xc0\x3f")));
    cr_assert_eq(read_one(buffer_view(&out), &field), 1);
    cr_expect_eq(field.type, FIELD_FIXED32);
    cr_expect_eq(field.value, 0x3fc00000);
    cr_expect_eq(field_bytes(&field, &bytes), -EBADMSG);
    buffer_done(&out);
}

Test(field, refuses_what_is_no_field)
{
    static const struct str bad[] = {
        STR("\x00\x01"),                                     /* number 0 */
        STR("\x0b"),                                         /* a group */
        STR("\x0c"),                                         /* its end */
        STR("\x0e"),                                         /* type 6 */
        STR("\x0f"),                                         /* type 7 */
        STR("\x08"),                                         /* no value */
        STR("\x0a\x02x"),                                    /* short */
        STR("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* length 2^64 - 1 */
        STR("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), /* 65 bits */
        STR("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
        STR("\x09seven.."),
        STR("\x0d ab"),
        STR("\x80\x80\x80\x80\x10\x01"), /* number 2^29 */
    };
    struct field field = {.number = 7};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        cr_expect_eq(read_one(bad[i], &field), -EBADMSG, "case %zu", i);
        cr_expect_eq(field.number, 7);
    }
    cr_expect_eq(read_one(STR(""), &field), 0);
}

Test(field, what_does_not_fit_leaves_nothing_behind)
{
    struct buffer out;
    buffer_init(&out, 300);
    static const char big[299];
    cr_expect_eq(field_put_bytes(&out, 1, str_make(big, sizeof big)), -ENOBUFS);
    cr_expect_eq(buffer_size(&out), 0);
    buffer_done(&out);
}
