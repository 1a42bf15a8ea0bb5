/* SPDX-License-Identifier: Apache-2.0 */
#include "lines.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct lines lines;
static char got[4 * LINES_BYTES_MAX];
static size_t got_len;
static unsigned count;

static void take(void *context, struct str line)
{
    (void)context;
    cr_assert_leq(line.len, LINES_BYTES_MAX);
    cr_assert_lt(got_len + line.len + 1, sizeof got);
    memcpy(got + got_len, line.data, line.len);
    got_len += line.len;
    got[got_len++] = '|';
    got[got_len] = '\0';
    count++;
}

Test(lines, come_out_the_same_however_the_bytes_come)
{
    const char *text = "one\n\ntwo and more\nthe rest";
    for (size_t cut = 1; cut < strlen(text); cut++) {
        got_len = 0;
        for (size_t at = 0; at < strlen(text); at += cut) {
            lines_feed(&lines, str_first(str_skip(str_from(text), at), cut), take, NULL);
        }
        lines_end(&lines, take, NULL);
        cr_expect_str_eq(got, "one||two and more|the rest|");
    }
}

Test(lines, the_end_adds_no_line_after_a_whole_one)
{
    lines_feed(&lines, STR("one\n"), take, NULL);
    lines_end(&lines, take, NULL);
    cr_expect_str_eq(got, "one|");
}

Test(lines, what_is_too_long_comes_in_pieces)
{
    static char text[LINES_BYTES_MAX * 2 + 2];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\n';
    lines_feed(&lines, str_make(text, sizeof text), take, NULL);
    cr_expect_eq(count, 3);
    cr_expect_eq(lines.len, 0);
}

Test(lines, one_that_just_fits_is_one)
{
    static char text[LINES_BYTES_MAX + 1];
    memset(text, 'x', sizeof text);
    text[LINES_BYTES_MAX] = '\n';
    lines_feed(&lines, str_make(text, LINES_BYTES_MAX), take, NULL);
    cr_expect_eq(count, 0);
    lines_feed(&lines, STR("\n"), take, NULL);
    cr_expect_eq(count, 1);
    lines_feed(&lines, str_make(text, sizeof text), take, NULL);
    cr_expect_eq(count, 2);
}

Test(lines, a_tail_keeps_the_last_ones_in_order)
{
    static struct tail tail;
    char text[32];
    cr_expect_eq(tail_count(&tail), 0);
    for (int i = 0; i < TAIL_LINES + 5; i++) {
        snprintf(text, sizeof text, "line %d", i);
        tail_add(&tail, str_from(text));
    }
    cr_assert_eq(tail_count(&tail), TAIL_LINES);
    cr_expect(str_equal(tail_at(&tail, 0), STR("line 5")));
    snprintf(text, sizeof text, "line %d", TAIL_LINES + 4);
    cr_expect(str_equal(tail_at(&tail, TAIL_LINES - 1), str_from(text)));
}

Test(lines, a_tail_cuts_long_ones)
{
    static struct tail tail;
    static char text[TAIL_BYTES + 1];
    memset(text, 'x', sizeof text);
    tail_add(&tail, str_make(text, sizeof text));
    cr_expect_eq(tail_at(&tail, 0).len, TAIL_BYTES);
}
