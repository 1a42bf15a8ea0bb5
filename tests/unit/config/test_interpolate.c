/* SPDX-License-Identifier: Apache-2.0 */
#include "config/interpolate.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int lookup(void *context, struct str key, struct buffer *out, struct error *error)
{
    (void)context;
    if (str_equal(key, STR("Bad.key"))) {
        return error_set(error, -ELOOP, "a cycle");
    }
    if (str_equal(key, STR("Un.set"))) {
        return 0;
    }
    int code = buffer_append(out, STR("<"));
    code = code < 0 ? code : buffer_append(out, key);
    return code < 0 ? code : buffer_append(out, STR(">"));
}

static int file(void *context, const char *path, struct buffer *out, struct error *error)
{
    (void)context;
    (void)error;
    return strcmp(path, "/there") == 0 ? buffer_append(out, STR("100%\\(sure)\n")) : -ENOENT;
}

static const char *environment(void *context, const char *name)
{
    (void)context;
    return strcmp(name, "HOME") == 0 ? "/root" : NULL;
}

static int run(const char *text, char *out, size_t *offset)
{
    struct interpolation interpolation = {lookup, file, environment, NULL, INTERPOLATE_BUDGET};
    struct error error = {.message = ""};
    struct buffer buffer;
    buffer_init(&buffer, INTERPOLATE_OUTPUT_MAX);
    int code = interpolate(&interpolation, STR("Here"), str_from(text), &buffer, offset, &error);
    snprintf(out, 512, "%.*s", STR_ARG(buffer_view(&buffer)));
    if (code < 0) {
        snprintf(out, 512, "%s", error.message);
        cr_expect_str_not_empty(out, "%s fails without a word", text);
    }
    buffer_done(&buffer);
    return code;
}

static void expect(const char *text, const char *expected)
{
    char out[512];
    cr_expect_eq(run(text, out, NULL), 0, "%s: %s", text, out);
    cr_expect_str_eq(out, expected, "%s gives %s", text, out);
}

static void expect_refused(const char *text, size_t offset)
{
    char out[512];
    size_t at = 9999;
    cr_expect_lt(run(text, out, &at), 0, "%s gives %s", text, out);
    cr_expect_eq(at, offset, "%s: at %zu: %s", text, at, out);
}

Test(interpolate, plain_text_is_itself)
{
    expect("", "");
    expect("plain | text { with } 100% (of, it", "plain | text { with } 100% (of, it");
}

Test(interpolate, names_become_values)
{
    expect("a%(Some.key)b", "a<Some.key>b");
    expect("%(key)", "<Here.key>");
    expect("%(Un.set)", "");
    expect("%(a(b)", "<Here.a(b>");
}

Test(interpolate, filters_change_text)
{
    expect("%(MiXed|lower)%(MiXed|upper)%(MiXed|literal)", "mixedMIXEDMiXed");
    expect("%(home|env)", "/root");
    expect("%(nothing|env)", "");
    expect("%(/there|file)", "100%\\(sure)\n");
    expect("%(/absent|optionalfile)", "");
    expect("%(ho|literal,lower,upper)", "HO");
    expect("%(a\\\\b|fixpathsep)", "a/b");
}

Test(interpolate, what_a_file_holds_is_expanded_on_demand_only)
{
    expect("%(\\%(Some.key\\)|literal)", "%(Some.key)");
    expect("%(\\%(Some.key\\)|expand)", "<Some.key>");
    expect("%(\\%(key\\)|expand,upper)", "<HERE.KEY>");
}

Test(interpolate, the_innermost_is_first)
{
    expect("%(%(Some.key|lower).x)", "<some.key.x>");
    expect("%(%(%(HOME|lower)|env)/x|upper)", "/ROOT/X");
    expect("%(%(/absent|optionalfile)HOME|env)", "/root");
}

Test(interpolate, braces_are_literal)
{
    expect("%{%(Some.key) | \\ )}", "%(Some.key) | \\ )");
    expect("%{a\\}b\\{}", "a}b{");
    expect("%(%{Some.key}|literal)", "Some.key");
}

Test(interpolate, backslash_escapes_what_has_a_meaning)
{
    expect("\\%(x\\) \\{ \\} \\| \\\\", "%(x) { } | \\");
    expect("C:\\Windows\\n", "C:\\Windows\\n");
    expect("\\", "\\");
}

Test(interpolate, a_bar_without_filter_is_a_bar)
{
    expect("a|b|c", "a|b|c");
    expect("%(a|b.c)", "<a|b.c>");
}

Test(interpolate, mistakes_are_told_with_their_offset)
{
    expect_refused("abc%(Some.key", 3);
    expect_refused("abc%{x", 3);
    expect_refused("abc)", 3);
    expect_refused("ab%(x|nofilter)", 2);
    expect_refused("ab%(x|flags)", 2);
    expect_refused("ab%(/absent|file)", 2);
    expect_refused("ab%(Bad.key)", 2);
    expect_refused("%(x|lower,)", 0);
}

Test(interpolate, nesting_is_bounded)
{
    char text[4096] = "";
    char out[512];
    for (int i = 0; i < 1000; i++) {
        memcpy(text + 2 * i, "%(", 3);
    }
    cr_assert_eq(run(text, out, NULL), -ELOOP);
}

Test(interpolate, work_is_bounded)
{
    char *text = malloc(8 * (INTERPOLATE_BUDGET + 2));
    char out[512];
    *text = '\0';
    char *end = text;
    for (int i = 0; i <= INTERPOLATE_BUDGET; i++) {
        end += sprintf(end, "%%(a.b)");
    }
    cr_assert_eq(run(text, out, NULL), -ELOOP);
    free(text);
}

Test(interpolate, output_is_bounded)
{
    struct interpolation interpolation = {lookup, file, environment, NULL, INTERPOLATE_BUDGET};
    struct error error;
    struct buffer buffer;
    buffer_init(&buffer, 8);
    cr_assert_eq(interpolate(&interpolation, STR(""), STR("%(Some.key)"), &buffer, NULL, &error),
                 -EFBIG);
    buffer_done(&buffer);
}
