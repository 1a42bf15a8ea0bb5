/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static const char *const titles[] = {"ID", "NAME", "END"};

static char *text;
static size_t size;
static struct table table;

static void begin(void)
{
    FILE *memory = open_memstream(&text, &size);
    cr_assert_eq(table_begin(&table, memory, titles, ARRAY_LEN(titles)), 0);
}

static void end(void)
{
    cr_expect_eq(table_end(&table, "none"), 0);
    fclose(table.out);
}

static void done(void)
{
    free(text);
}

TestSuite(table, .init = begin, .fini = done);

Test(table, columns_are_aligned)
{
    table_put(&table, STR("1"));
    table_put(&table, STR("\xc3\xa9t\xc3\xa9"));
    table_put(&table, STR("x"));
    table_printf(&table, "%d", 12345);
    table_put(&table, STR(""));
    table_put_time(&table, 0);
    end();
    cr_expect_str_eq(text, "ID     NAME  END\n"
                           "1      \xc3\xa9t\xc3\xa9   x\n"
                           "12345  -     -\n");
}

Test(table, without_rows_it_says_so)
{
    end();
    cr_expect_str_eq(text, "none\n");
}

Test(table, nothing_steers_the_terminal)
{
    table_put(&table, STR("\x1b]0;x\x07"));
    table_put(&table, STR("a\nb\tc\xff"));
    table_put(&table, STR("\xe2\x80\xae\xc2\x9b"));
    end();
    cr_expect_null(strchr(text, '\x1b'));
    cr_expect_null(strchr(text, '\t'));
    cr_expect_null(strchr(text, '\xff'));
    cr_expect_null(strstr(text, "\xe2\x80\xae"));
    cr_expect_not_null(strstr(text, "\\x1b"));
    cr_expect_not_null(strstr(text, "a\\x0ab"));
}

Test(table, titles_come_once_and_all_rows_are_printed)
{
    size_t lines = 0;
    for (int i = 0; i < 3 * TABLE_ROWS_GATHERED + 7; i++) {
        table_printf(&table, "%d", i);
        table_put(&table, STR("n"));
        table_put(&table, STR("e"));
    }
    end();
    for (const char *c = text; *c != '\0'; c++) {
        lines += *c == '\n';
    }
    cr_expect_eq(lines, 1 + 3 * TABLE_ROWS_GATHERED + 7);
    cr_expect_null(strstr(text + 1, "ID "));
}

Test(table, bytes_are_counted_and_begun)
{
    table_put_bytes(&table, STR(""));
    table_put_bytes(&table, STR("\x01\xff"));
    table_put_bytes(&table, STR("0123456789abcdefg"));
    end();
    cr_expect_not_null(strstr(text, "0   2: 01ff  17: 30313233343536373839616263646566..."), "%s",
                       text);
}

Test(table, times_are_readable)
{
    char out[TIME_TEXT_SIZE];
    cr_expect_str_eq(time_format(0, out), "-");
    cr_expect_str_eq(time_format(USEC_PER_SEC, out), "1970-01-01T00:00:01Z");
    cr_expect_str_eq(time_format(1793487600 * USEC_PER_SEC, out), "2026-10-31T23:00:00Z");
    cr_expect_str_eq(time_format_distance(0, 5 * USEC_PER_SEC, out), "5 s ago");
    cr_expect_str_eq(time_format_distance(0, 3 * USEC_PER_MINUTE, out), "3 min ago");
    cr_expect_str_eq(time_format_distance(5 * USEC_PER_HOUR, 0, out), "in 5 h");
    cr_expect_str_eq(time_format_distance(0, 9 * USEC_PER_DAY, out), "9 days ago");
    end();
}
