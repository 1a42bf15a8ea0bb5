/* SPDX-License-Identifier: Apache-2.0 */
#include "config/problem.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static char *printed(struct problems *problems)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    problems_print(problems, out);
    fclose(out);
    problems_free(problems);
    return text;
}

static void expect(struct problems *problems, const char *expected)
{
    char *text = printed(problems);
    cr_assert_str_eq(text, expected);
    free(text);
}

Test(problem, shows_place_line_caret_and_hint)
{
    const struct source source = {.name = "a.yaml", .text = STR("one: 1\ntwo: 2\r\n")};
    struct problems *problems = problems_new(5);
    problem_add(problems, SEVERITY_WARNING, (struct place){&source, 2, 6}, "try 3", "no %d", 2);
    expect(problems, "a.yaml:2:6: warning: no 2\n    two: 2\n         ^\n    hint: try 3\n");
}

Test(problem, are_sorted_by_file_line_and_column)
{
    const struct source a = {.order = 1, .name = "a", .text = STR("")};
    const struct source b = {.order = 2, .name = "b", .text = STR("")};
    struct problems *problems = problems_new(5);
    problem_add(problems, SEVERITY_ERROR, (struct place){&b, 0, 0}, NULL, "4");
    problem_add(problems, SEVERITY_ERROR, (struct place){&a, 2, 0}, NULL, "3");
    problem_add(problems, SEVERITY_ERROR, (struct place){&a, 1, 0}, NULL, "1");
    problem_add(problems, SEVERITY_ERROR, (struct place){&a, 1, 0}, NULL, "2");
    expect(problems, "a:1:0: error: 1\na:1:0: error: 2\na:2:0: error: 3\nb: error: 4\n");
}

Test(problem, are_kept_once_and_bounded)
{
    struct problems *problems = problems_new(2);
    const struct place nowhere = {NULL, 0, 0};
    problem_add(problems, SEVERITY_ERROR, nowhere, NULL, "same");
    problem_add(problems, SEVERITY_ERROR, nowhere, NULL, "same");
    problem_add(problems, SEVERITY_ERROR, nowhere, NULL, "second");
    problem_add(problems, SEVERITY_ERROR, nowhere, NULL, "third");
    problem_add(problems, SEVERITY_ERROR, nowhere, NULL, "fourth");
    cr_assert_eq(problems_errors(problems), 4);
    expect(problems, "portico: error: same\nportico: error: second\n2 more problems are not "
                     "shown\n");
}

Test(problem, control_characters_are_escaped_and_the_caret_stays_right)
{
    const struct source source = {.name = "\x1b[1mx", .text = STR("\x1b[31m\xc2\x9b\tä: x")};
    struct problems *problems = problems_new(5);
    problem_add(problems, SEVERITY_ERROR, (struct place){&source, 1, 11}, NULL, "\a");
    expect(problems, "\\x1b[1mx:1:11: error: \\x07\n"
                     "    \\x1b[31m\\xc2\\x9b ä: x\n"
                     "                        ^\n");
}

Test(problem, long_lines_are_cut_around_the_caret)
{
    char text[1000];
    memset(text, '-', sizeof text);
    text[500] = 'O';
    const struct source source = {.name = "a", .text = {text, sizeof text}};
    struct problems *problems = problems_new(5);
    problem_add(problems, SEVERITY_ERROR, (struct place){&source, 1, 501}, NULL, "m");
    char *out = printed(problems);
    char *shown = strchr(out, '\n') + 1;
    char *caret = strchr(shown, '\n') + 1;
    cr_assert_lt(strlen(out), 400);
    cr_assert_eq(strchr(caret, '^') - caret, strchr(shown, 'O') - shown);
    free(out);
}

Test(problem, a_place_past_the_end_does_no_harm)
{
    const struct source source = {.name = "a", .text = STR("x: 1")};
    struct problems *problems = problems_new(5);
    problem_add(problems, SEVERITY_ERROR, (struct place){&source, 7, 100}, NULL, "m");
    problem_add(problems, SEVERITY_ERROR, (struct place){&source, 1, 100000}, NULL, "m");
    free(printed(problems));
}

Test(problem, key_material_is_not_shown)
{
    const struct source source = {.name = "a",
                                  .text =
                                      STR("PrivateKeys.ca_key: hunter2\n"
                                          "  MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ\n"
                                          "x: \"-----BEGIN PRIVATE KEY-----hunter3\"\n")};
    struct problems *problems = problems_new(5);
    for (unsigned line = 1; line <= 3; line++) {
        problem_add(problems, SEVERITY_ERROR, (struct place){&source, line, 1}, NULL, "m");
    }
    char *out = printed(problems);
    cr_assert_null(strstr(out, "hunter"));
    cr_assert_null(strstr(out, "MII"));
    free(out);
}

static void count_hints(void *context, const struct problem_view *problem)
{
    int *seen = context;
    cr_expect_str_eq(problem->place, *seen == 0 ? "a:1:2" : "b");
    cr_expect_str_eq(problem->message, *seen == 0 ? "first" : "second");
    cr_expect(*seen == 0 ? problem->hint == NULL : strcmp(problem->hint, "mend it") == 0);
    cr_expect_eq(problem->severity, *seen == 0 ? SEVERITY_ERROR : SEVERITY_WARNING);
    (*seen)++;
}

Test(problem, are_told_one_by_one_in_order)
{
    const struct source a = {.order = 1, .name = "a", .text = STR("x: y")};
    const struct source b = {.order = 2, .name = "b", .text = STR("")};
    struct problems *problems = problems_new(5);
    int seen = 0;
    problem_add(problems, SEVERITY_WARNING, (struct place){&b, 0, 0}, "mend it", "second");
    problem_add(problems, SEVERITY_ERROR, (struct place){&a, 1, 2}, NULL, "first");
    problems_each(problems, count_hints, &seen);
    cr_expect_eq(seen, 2);
    problems_free(problems);
}
