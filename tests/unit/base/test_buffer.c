/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "support/support.h"

static void assert_holds(const struct buffer *buffer, struct str expected)
{
    struct str found = buffer_view(buffer);
    cr_assert(str_equal(found, expected), "expected \"%.*s\", found \"%.*s\"", STR_ARG(expected),
              STR_ARG(found));
}

Test(buffer, begins_empty_and_allocates_nothing)
{
    struct buffer buffer;
    buffer_init(&buffer, 100);
    cr_assert_null(buffer.data);
    cr_assert_null(buffer_tail(&buffer));
    cr_assert_eq(buffer_size(&buffer), 0);
    cr_assert_eq(buffer_room(&buffer), 0);
    cr_assert_eq(buffer_view(&buffer).len, 0);
    cr_assert_eq(buffer_reserve(&buffer, 0), 0);
    cr_assert_eq(buffer_append(&buffer, (struct str){NULL, 0}), 0);
    buffer_consume(&buffer, 0);
    buffer_commit(&buffer, 0);
    buffer_clear(&buffer);
    cr_assert_null(buffer.data);
    buffer_done(&buffer);
}

Test(buffer, appends_at_the_end_and_consumes_from_the_front)
{
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    cr_assert_eq(buffer_append(&buffer, STR("hello ")), 0);
    cr_assert_eq(buffer_append(&buffer, STR("world")), 0);
    assert_holds(&buffer, STR("hello world"));
    buffer_consume(&buffer, 6);
    assert_holds(&buffer, STR("world"));
    cr_assert_eq(buffer_printf(&buffer, " %d %s", 42, "x"), 0);
    assert_holds(&buffer, STR("world 42 x"));
    buffer_done(&buffer);
    cr_assert_null(buffer.data);
    cr_assert_eq(buffer_append(&buffer, STR("again")), 0);
    assert_holds(&buffer, STR("again"));
    buffer_done(&buffer);
}

Test(buffer, holds_its_maximum_and_not_one_byte_more)
{
    for (size_t max = 0; max < 1500; max += 37) {
        struct buffer buffer;
        buffer_init(&buffer, max);
        for (size_t i = 0; i < max; i++) {
            cr_assert_eq(buffer_append(&buffer, STR("x")), 0);
        }
        cr_assert_eq(buffer_append(&buffer, STR("y")), -ENOBUFS);
        cr_assert_eq(buffer_size(&buffer), max);
        cr_assert_eq(buffer.capacity, max);
        buffer_done(&buffer);
    }
}

Test(buffer, refused_bytes_change_nothing)
{
    struct buffer buffer;
    buffer_init(&buffer, 8);
    cr_assert_eq(buffer_append(&buffer, STR("12345")), 0);
    cr_assert_eq(buffer_append(&buffer, STR("6789")), -ENOBUFS);
    cr_assert_eq(buffer_printf(&buffer, "%d", 6789), -ENOBUFS);
    cr_assert_eq(buffer_reserve(&buffer, SIZE_MAX), -ENOBUFS);
    cr_assert_eq(buffer_reserve(&buffer, SIZE_MAX - 4), -ENOBUFS);
    assert_holds(&buffer, STR("12345"));
    buffer_done(&buffer);
}

Test(buffer, printing_needs_one_byte_more_than_it_appends)
{
    struct buffer buffer;
    buffer_init(&buffer, 8);
    cr_assert_eq(buffer_printf(&buffer, "%s", "12345678"), -ENOBUFS);
    cr_assert_eq(buffer_printf(&buffer, "%s", "1234567"), 0);
    assert_holds(&buffer, STR("1234567"));
    buffer_done(&buffer);
}

Test(buffer, takes_what_the_caller_wrote_at_its_tail)
{
    struct buffer buffer;
    buffer_init(&buffer, 64);
    cr_assert_eq(buffer_reserve(&buffer, 10), 0);
    cr_assert_geq(buffer_room(&buffer), 10);
    memcpy(buffer_tail(&buffer), "0123456789", 10);
    cr_assert_eq(buffer_size(&buffer), 0);
    buffer_commit(&buffer, 10);
    assert_holds(&buffer, STR("0123456789"));
    buffer_done(&buffer);
}

Test(buffer, consuming_everything_makes_all_room_again)
{
    struct buffer buffer;
    buffer_init(&buffer, 64);
    cr_assert_eq(buffer_append(&buffer, STR("0123456789")), 0);
    buffer_consume(&buffer, 10);
    cr_assert_eq(buffer.start, 0);
    cr_assert_eq(buffer_room(&buffer), 64);
    buffer_done(&buffer);
}

/* A reader that is always a little behind must not make every append move the whole content. */
Test(buffer, a_nearly_full_buffer_is_not_moved_for_every_byte)
{
    struct buffer buffer;
    int moves = 0;
    buffer_init(&buffer, 1 << 20);
    for (int i = 0; i < 255; i++) {
        cr_assert_eq(buffer_append(&buffer, STR("x")), 0);
    }
    for (int i = 0; i < 10000; i++) {
        size_t start = buffer.start;
        cr_assert_eq(buffer_append(&buffer, STR("x")), 0);
        moves += buffer.start < start;
        buffer_consume(&buffer, 1);
    }
    cr_assert_lt(moves, 100);
    cr_assert_leq(buffer.capacity, 1024);
    buffer_done(&buffer);
}

Test(buffer, consuming_more_than_there_is_aborts, .signal = SIGABRT)
{
    struct buffer buffer;
    buffer_init(&buffer, 64);
    cr_assert_eq(buffer_append(&buffer, STR("abc")), 0);
    buffer_consume(&buffer, 4);
}

Test(buffer, committing_more_than_the_room_aborts, .signal = SIGABRT)
{
    struct buffer buffer;
    buffer_init(&buffer, 64);
    cr_assert_eq(buffer_reserve(&buffer, 64), 0);
    buffer_commit(&buffer, 65);
}

/* Against a plain array that moves at every consume. */
Test(buffer, behaves_as_a_plain_queue_of_bytes)
{
    enum { MAX = 5000 };
    uint64_t random = 7;
    for (int round = 0; round < 50; round++) {
        static char model[MAX];
        size_t model_size = 0;
        struct buffer buffer;
        size_t max = 1 + next_random(&random) % MAX;
        buffer_init(&buffer, max);
        for (int step = 0; step < 400; step++) {
            char bytes[700];
            size_t n = next_random(&random) % sizeof bytes;
            memset(bytes, (int)(next_random(&random) & 0x7f), sizeof bytes);
            if (next_random(&random) % 2 == 0) {
                int result = buffer_append(&buffer, str_make(bytes, n));
                cr_assert_eq(result, model_size + n <= max ? 0 : -ENOBUFS);
                if (result == 0) {
                    memcpy(model + model_size, bytes, n);
                    model_size += n;
                }
            } else {
                n = n < model_size ? n : model_size;
                buffer_consume(&buffer, n);
                memmove(model, model + n, model_size - n);
                model_size -= n;
            }
            cr_assert(str_equal(buffer_view(&buffer), str_make(model, model_size)));
            cr_assert_leq(buffer.capacity, max);
            cr_assert_leq(buffer.end, buffer.capacity);
        }
        buffer_done(&buffer);
    }
}
