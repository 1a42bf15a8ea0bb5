/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "support/support.h"

static const struct str nothing = {NULL, 0};

static void assert_str(struct str found, const char *expected)
{
    cr_assert(str_equal(found, str_from(expected)), "expected \"%s\", found \"%.*s\"", expected,
              STR_ARG(found));
}

Test(str, views_know_their_length)
{
    cr_assert_eq(STR("a\0b").len, 3);
    cr_assert_eq(STR("").len, 0);
    cr_assert_eq(str_from("hello").len, 5);
    cr_assert_eq(str_from(NULL).len, 0);
    cr_assert_eq(str_make("hello", 2).len, 2);
}

Test(str, equality_is_of_bytes)
{
    cr_assert(str_equal(STR("abc"), STR("abc")));
    cr_assert(str_equal(nothing, STR("")));
    cr_assert(str_equal(STR("a\0b"), STR("a\0b")));
    cr_assert_not(str_equal(STR("a\0b"), STR("a\0c")));
    cr_assert_not(str_equal(STR("abc"), STR("ab")));
    cr_assert_not(str_equal(STR("abc"), STR("abC")));
}

Test(str, case_is_ignored_for_ascii_letters_only)
{
    cr_assert(str_equal_nocase(STR("Content-LENGTH"), STR("content-length")));
    cr_assert(str_equal_nocase(nothing, STR("")));
    cr_assert_not(str_equal_nocase(STR("a"), STR("ab")));
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            char x = (char)a;
            char y = (char)b;
            bool both = (a | 0x20) == (b | 0x20) && (a | 0x20) >= 'a' && (a | 0x20) <= 'z';
            cr_assert_eq(str_equal_nocase(str_make(&x, 1), str_make(&y, 1)), a == b || both);
        }
    }
}

Test(str, prefixes_and_suffixes)
{
    cr_assert(str_starts_with(STR("hello"), STR("he")));
    cr_assert(str_starts_with(STR("hello"), STR("")));
    cr_assert(str_starts_with(nothing, nothing));
    cr_assert_not(str_starts_with(STR("he"), STR("hello")));
    cr_assert(str_ends_with(STR("hello"), STR("lo")));
    cr_assert(str_ends_with(STR("hello"), STR("hello")));
    cr_assert(str_ends_with(nothing, STR("")));
    cr_assert_not(str_ends_with(STR("lo"), STR("hello")));
    cr_assert_not(str_ends_with(STR("hello"), STR("la")));
}

Test(str, skip_and_first_stop_at_the_end)
{
    assert_str(str_skip(STR("hello"), 2), "llo");
    assert_str(str_skip(STR("hello"), 5), "");
    assert_str(str_skip(STR("hello"), SIZE_MAX), "");
    assert_str(str_skip(nothing, 1), "");
    assert_str(str_first(STR("hello"), 2), "he");
    assert_str(str_first(STR("hello"), SIZE_MAX), "hello");
    assert_str(str_first(nothing, 1), "");
}

Test(str, find_gives_the_first_place_or_the_length)
{
    cr_assert_eq(str_find(STR("a,b,c"), ','), 1);
    cr_assert_eq(str_find(STR("abc"), ','), 3);
    cr_assert_eq(str_find(STR("a\0b"), '\0'), 1);
    cr_assert_eq(str_find(nothing, 'x'), 0);
}

Test(str, trim_takes_white_space_at_both_ends)
{
    assert_str(str_trim(STR(" \t\r\n\v\fa b \t\r\n\v\f")), "a b");
    assert_str(str_trim(STR("  \n ")), "");
    assert_str(str_trim(nothing), "");
    assert_str(str_trim(STR("x")), "x");
    cr_assert_eq(str_trim(STR("\0 ")).len, 1, "NUL is no white space");
}

static void assert_parts(struct str text, size_t count, const char *const *parts)
{
    struct str part;
    size_t found = 0;
    while (str_split(&text, ',', &part)) {
        cr_assert_lt(found, count);
        assert_str(part, parts[found++]);
    }
    cr_assert_eq(found, count);
    cr_assert_null(text.data);
    cr_assert_not(str_split(&text, ',', &part), "used up stays used up");
}

Test(str, split_gives_every_part)
{
    assert_parts(STR("a,b,c"), 3, (const char *const[]){"a", "b", "c"});
    assert_parts(STR("a"), 1, (const char *const[]){"a"});
    assert_parts(STR(""), 1, (const char *const[]){""});
    assert_parts(STR(","), 2, (const char *const[]){"", ""});
    assert_parts(STR("a,,b,"), 4, (const char *const[]){"a", "", "b", ""});
    assert_parts(nothing, 0, NULL);
}

Test(str, no_function_reads_past_the_end)
{
    struct guarded text = guarded_copy(STR("  Abc,12"));
    struct str view = str_make(text.data, text.len);
    struct str part;
    uint64_t number;
    cr_assert_eq(str_find(view, 'z'), view.len);
    assert_str(str_trim(view), "Abc,12");
    cr_assert(str_equal_nocase(view, STR("  aBC,12")));
    cr_assert(str_ends_with(view, STR("12")));
    cr_assert_eq(str_distance(view, STR("  Abc,13"), 3), 1);
    cr_assert(str_split(&view, ',', &part));
    cr_assert_eq(str_to_uint64(view, &number), 0);
    cr_assert_eq(number, 12);
    char *copy = str_dup(view);
    cr_assert_str_eq(copy, "12");
    free(copy);
    guarded_free(&text);
}

Test(str, numbers_are_decimal_digits_and_nothing_else)
{
    static const struct {
        const char *text;
        int result;
        uint64_t value;
    } cases[] = {
        {"0", 0, 0},
        {"007", 0, 7},
        {"18446744073709551615", 0, UINT64_MAX},
        {"000000000000000000000000018446744073709551615", 0, UINT64_MAX},
        {"18446744073709551616", -ERANGE, 0},
        {"18446744073709551620", -ERANGE, 0},
        {"99999999999999999999999", -ERANGE, 0},
        {"99999999999999999999999x", -EINVAL, 0},
        {"", -EINVAL, 0},
        {" 1", -EINVAL, 0},
        {"1 ", -EINVAL, 0},
        {"+1", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"0x10", -EINVAL, 0},
        {"1e3", -EINVAL, 0},
        {"1:", -EINVAL, 0},
        {"1/", -EINVAL, 0},
        {"\xd9\xa1", -EINVAL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t value = 4711;
        cr_assert_eq(str_to_uint64(str_from(cases[i].text), &value), cases[i].result, "%s",
                     cases[i].text);
        cr_assert_eq(value, cases[i].result == 0 ? cases[i].value : 4711, "%s", cases[i].text);
    }
    uint64_t value = 4711;
    cr_assert_eq(str_to_uint64(nothing, &value), -EINVAL);
    cr_assert_eq(str_to_uint64(STR("1\0"), &value), -EINVAL);
}

Test(str, numbers_survive_the_way_through_text)
{
    uint64_t random = 11;
    for (int i = 0; i < 20000; i++) {
        uint64_t wanted = next_random(&random) >> (next_random(&random) % 64);
        uint64_t found = 0;
        char text[32];
        snprintf(text, sizeof text, "%" PRIu64, wanted);
        cr_assert_eq(str_to_uint64(str_from(text), &found), 0);
        cr_assert_eq(found, wanted);
    }
}

Test(str, dup_ends_in_nul)
{
    char *copy = str_dup(nothing);
    cr_assert_str_eq(copy, "");
    free(copy);
    copy = str_dup(str_make("hello", 4));
    cr_assert_str_eq(copy, "hell");
    free(copy);
}

Test(str, distance_counts_edits)
{
    cr_assert_eq(str_distance(STR("bind_port"), STR("bind_port"), 5), 0);
    cr_assert_eq(str_distance(STR("Bind_Port"), STR("bind_port"), 5), 0);
    cr_assert_eq(str_distance(STR("bind_prt"), STR("bind_port"), 5), 1);
    cr_assert_eq(str_distance(STR("bind_poort"), STR("bind_port"), 5), 1);
    cr_assert_eq(str_distance(STR("bind_part"), STR("bind_port"), 5), 1);
    cr_assert_eq(str_distance(STR("bind_prot"), STR("bind_port"), 5), 1, "neighbours swapped");
    cr_assert_eq(str_distance(STR("kitten"), STR("sitting"), 5), 3);
    cr_assert_eq(str_distance(STR("kitten"), STR("sitting"), 2), 3);
    cr_assert_eq(str_distance(nothing, STR("abc"), 5), 3);
    cr_assert_eq(str_distance(STR("abc"), nothing, 5), 3);
    cr_assert_eq(str_distance(nothing, nothing, 5), 0);
    cr_assert_eq(str_distance(STR("a"), STR("b"), 0), 1);
}

Test(str, long_texts_are_never_close)
{
    char text[129];
    memset(text, 'x', sizeof text);
    cr_assert_eq(str_distance(str_make(text, 128), str_make(text, 128), 5), 0);
    cr_assert_eq(str_distance(str_make(text, 129), str_make(text, 129), 5), 6);
    cr_assert_eq(str_distance(str_make(text, 129), str_make(text, 129), UINT_MAX), UINT_MAX);
}

Test(str, distance_is_symmetric_and_bounded)
{
    uint64_t random = 5;
    for (int i = 0; i < 5000; i++) {
        char a[12];
        char b[12];
        size_t a_len = next_random(&random) % sizeof a;
        size_t b_len = next_random(&random) % sizeof b;
        for (size_t j = 0; j < sizeof a; j++) {
            a[j] = (char)('a' + next_random(&random) % 3);
            b[j] = (char)('a' + next_random(&random) % 3);
        }
        unsigned there = str_distance(str_make(a, a_len), str_make(b, b_len), 100);
        unsigned back = str_distance(str_make(b, b_len), str_make(a, a_len), 100);
        size_t longer = a_len > b_len ? a_len : b_len;
        size_t shorter = a_len > b_len ? b_len : a_len;
        cr_assert_eq(there, back);
        cr_assert(there <= longer && there >= longer - shorter);
    }
}
