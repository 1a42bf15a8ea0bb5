/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/str.h"
#include "base/utf8.h"

static const char *formatted(const struct error *error)
{
    static char text[1024];
    cr_assert_eq(error_format(error, text, sizeof text), strlen(text));
    return text;
}

Test(error, set_returns_the_code_and_keeps_the_words)
{
    struct error error = {0};
    cr_assert_eq(error_set(&error, -EINVAL, "port %u is outside %s", 70000u, "1-65535"), -EINVAL);
    cr_assert_str_eq(error.message, "port 70000 is outside 1-65535");
    cr_assert_str_eq(formatted(&error), "port 70000 is outside 1-65535");
}

Test(error, every_function_accepts_callers_without_interest)
{
    cr_assert_eq(error_set(NULL, -EINVAL, "x"), -EINVAL);
    cr_assert_eq(error_set_errno(NULL, -EIO, "x"), -EIO);
    cr_assert_eq(error_wrap(NULL, -EIO, "x"), -EIO);
    error_set_place(NULL, "file", 1, 2);
    error_set_key(NULL, "key");
}

Test(error, set_errno_adds_the_systems_words)
{
    struct error error = {0};
    cr_assert_eq(error_set_errno(&error, -ENOENT, "cannot open %s", "a.yaml"), -ENOENT);
    cr_assert_str_eq(error.message, "cannot open a.yaml: No such file or directory");
}

Test(error, wrap_puts_each_level_in_front)
{
    struct error error = {0};
    (void)error_set(&error, -EACCES, "port 80 needs privileges");
    cr_assert_eq(error_wrap(&error, -EACCES, "cannot listen on %s", "0.0.0.0"), -EACCES);
    (void)error_wrap(&error, -EACCES, "cannot serve");
    cr_assert_str_eq(error.message, "cannot serve: cannot listen on 0.0.0.0: "
                                    "port 80 needs privileges");
}

Test(error, wrapping_nothing_leaves_no_colon)
{
    struct error error = {0};
    (void)error_wrap(&error, -EIO, "cannot serve");
    cr_assert_str_eq(error.message, "cannot serve");
}

Test(error, arguments_may_point_into_the_error)
{
    struct error error = {0};
    (void)error_set(&error, -EIO, "disk");
    error_set_key(&error, "Datastore.location");
    (void)error_set(&error, -EIO, "%s <%s> %s", error.message, error.key, error.message);
    cr_assert_str_eq(error.message, "disk <Datastore.location> disk");
    (void)error_wrap(&error, -EIO, "%.4s", error.message);
    cr_assert_str_eq(error.message, "disk: disk <Datastore.location> disk");
    error_set_key(&error, error.key + 10);
    cr_assert_str_eq(error.key, "location");
}

Test(error, formats_only_the_parts_it_knows)
{
    struct error error = {0};
    (void)error_set(&error, -EINVAL, "bad");
    error_set_key(&error, "A.b");
    cr_assert_str_eq(formatted(&error), "A.b: bad");
    error_set_place(&error, "x.yaml", 0, 0);
    cr_assert_str_eq(formatted(&error), "x.yaml: A.b: bad");
    error_set_place(&error, "x.yaml", 3, 0);
    cr_assert_str_eq(formatted(&error), "x.yaml:3: A.b: bad");
    error_set_place(&error, "x.yaml", 3, 7);
    cr_assert_str_eq(formatted(&error), "x.yaml:3:7: A.b: bad");
    error_set_place(&error, "x.yaml", 0, 7);
    cr_assert_str_eq(formatted(&error), "x.yaml: A.b: bad", "a column alone says nothing");
    error_set_place(&error, NULL, 3, 7);
    error_set_key(&error, NULL);
    cr_assert_str_eq(formatted(&error), "bad");
}

Test(error, setting_a_message_keeps_place_and_key)
{
    struct error error = {0};
    error_set_place(&error, "x.yaml", 3, 7);
    error_set_key(&error, "A.b");
    (void)error_set(&error, -EINVAL, "first");
    (void)error_set(&error, -EINVAL, "second");
    cr_assert_str_eq(formatted(&error), "x.yaml:3:7: A.b: second");
}

Test(error, format_cuts_as_snprintf_does)
{
    struct error error = {0};
    char text[8];
    (void)error_set(&error, -EINVAL, "0123456789");
    cr_assert_eq(error_format(&error, text, sizeof text), 10);
    cr_assert_str_eq(text, "0123456");
    cr_assert_eq(error_format(&error, NULL, 0), 10);
}

Test(error, long_texts_end_in_dots)
{
    char text[2000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    struct error error = {0};
    (void)error_set(&error, -EINVAL, "%s", text);
    error_set_place(&error, text, 1, 1);
    error_set_key(&error, text);
    cr_assert_eq(strlen(error.message), sizeof error.message - 1);
    cr_assert(str_ends_with(str_from(error.message), STR("x...")));
    cr_assert_eq(strlen(error.file), sizeof error.file - 1);
    cr_assert(str_ends_with(str_from(error.file), STR("x...")));
    cr_assert_eq(strlen(error.key), sizeof error.key - 1);
    cr_assert(str_ends_with(str_from(error.key), STR("x...")));
    (void)error_wrap(&error, -EINVAL, "cannot serve");
    cr_assert(str_starts_with(str_from(error.message), STR("cannot serve: xxx")));
    cr_assert(str_ends_with(str_from(error.message), STR("x...")));
}

Test(error, a_text_that_just_fits_is_whole)
{
    char text[sizeof((struct error *)0)->message];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    struct error error = {0};
    (void)error_set(&error, -EINVAL, "%s", text);
    cr_assert_str_eq(error.message, text);
}

Test(error, the_cut_never_halves_a_character)
{
    for (size_t lead = 0; lead < 4; lead++) {
        struct error error = {0};
        char text[800] = "xxxx";
        for (size_t at = lead; at + 4 < sizeof text; at += 4) {
            memcpy(text + at, "\xf0\x9f\x98\x80", 5);
        }
        (void)error_set(&error, -EINVAL, "%s", text);
        struct str left = str_from(error.message);
        cr_assert(str_ends_with(left, STR("...")));
        while (left.len > 0) {
            size_t len = utf8_sequence(left);
            cr_assert_gt(len, 0);
            left = str_skip(left, len);
        }
    }
}

Test(error, control_characters_cannot_reach_a_terminal)
{
    struct error error = {0};
    (void)error_set(&error, -EINVAL, "unknown key \"%s\"", "a\x1b[2Jb\nforged: line\x7f\t");
    error_set_place(&error, "evil\nname", 1, 1);
    error_set_key(&error, "a\rb");
    cr_assert_str_eq(formatted(&error),
                     "evil?name:1:1: a?b: unknown key \"a?[2Jb?forged: line??\"");
}
