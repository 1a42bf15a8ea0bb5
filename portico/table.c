/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and times for people. The printing command's thread. */
#include "table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/log_line.h"

enum { BYTES_SHOWN = 16 };

int table_begin(struct table *table, FILE *out, const char *const *titles, size_t columns)
{
    CHECK(columns > 0 && columns <= TABLE_COLUMNS_MAX);
    *table = (struct table){.out = out, .titles = titles, .columns = columns};
    for (size_t i = 0; i < columns; i++) {
        table->widths[i] = strlen(titles[i]);
    }
    table->cells = calloc(columns * TABLE_ROWS_GATHERED, sizeof *table->cells);
    table->is_broken = table->cells == NULL;
    return table->is_broken ? -ENOMEM : 0;
}

static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static void print_cell(const struct table *table, size_t column, const char *text)
{
    bool is_last = column + 1 == table->columns;
    fputs(text, table->out);
    for (size_t i = width_of(text); !is_last && i < table->widths[column] + 2; i++) {
        fputc(' ', table->out);
    }
    if (is_last) {
        fputc('\n', table->out);
    }
}

static void print_titles(struct table *table)
{
    for (size_t i = 0; i < table->columns && !table->has_titles; i++) {
        print_cell(table, i, table->titles[i]);
    }
    table->has_titles = true;
}

static void flush(struct table *table)
{
    for (size_t i = 0; i < table->filled; i++) {
        size_t width = width_of(table->cells[i]);
        size_t *known = &table->widths[i % table->columns];
        *known = width > *known ? width : *known;
    }
    print_titles(table);
    for (size_t i = 0; i < table->filled; i++) {
        print_cell(table, i % table->columns, table->cells[i]);
        free(table->cells[i]);
    }
    table->filled = 0;
}

static void put_raw(struct table *table, struct str text)
{
    char *copy = table->is_broken ? NULL : str_dup(text.len == 0 ? STR("-") : text);
    if (copy == NULL) {
        table->is_broken = true;
        return;
    }
    table->cells[table->filled++] = copy;
    if (table->filled == table->columns * TABLE_ROWS_GATHERED) {
        flush(table);
    }
}

void table_put(struct table *table, struct str text)
{
    struct log_line line;
    log_line_init(&line, LOG_FORMAT_HUMAN);
    log_line_put_escaped(&line, text);
    put_raw(table, str_make(line.text, line.len));
}

void table_printf(struct table *table, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    table_put(table, str_from(text));
}

void table_put_time(struct table *table, usec_t time)
{
    char text[TIME_TEXT_SIZE];
    put_raw(table, str_from(time_format(time, text)));
}

void table_put_bytes(struct table *table, struct str bytes)
{
    char hex[2 * BYTES_SHOWN + 1] = "";
    size_t shown = bytes.len < BYTES_SHOWN ? bytes.len : BYTES_SHOWN;
    /* cppcheck-suppress knownConditionTrueFalse; it takes bytes.len for 0 */
    for (size_t i = 0; i < shown; i++) {
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)bytes.data[i]);
    }
    table_printf(table, "%zu%s%s%s", bytes.len, bytes.len == 0 ? "" : ": ", hex,
                 shown < bytes.len ? "..." : ""); /* cppcheck-suppress knownConditionTrueFalse */
}

int table_end(struct table *table, const char *none)
{
    if (table->filled == 0 && !table->has_titles && !table->is_broken) {
        fprintf(table->out, "%s\n", none);
    } else if (table->cells != NULL) {
        /* Half a row is not shown. */
        while (table->filled % table->columns != 0) {
            free(table->cells[--table->filled]);
        }
        flush(table);
    }
    free(table->cells);
    table->cells = NULL;
    if (table->is_broken) {
        return -ENOMEM;
    }
    return ferror(table->out) ? -EIO : 0;
}

void text_print(FILE *out, struct str text)
{
    struct log_line line;
    while (text.len > 0) {
        /* The log escapes these, and has room for short pieces only. */
        size_t plain = 0;
        while (plain < text.len && plain < 512 && text.data[plain] != '"' &&
               text.data[plain] != '\\') {
            plain++;
        }
        log_line_init(&line, LOG_FORMAT_HUMAN);
        log_line_put_escaped(&line, str_first(text, plain));
        fwrite(line.text, 1, line.len, out);
        if (plain == 0) {
            fputc(text.data[0], out);
        }
        text = str_skip(text, plain == 0 ? 1 : plain);
    }
}

char *time_format(usec_t time, char text[TIME_TEXT_SIZE])
{
    struct tm parts;
    time_t seconds = (time_t)(time / USEC_PER_SEC);
    if (time <= 0 || gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        memcpy(text, "-", sizeof "-");
    }
    return text;
}

char *time_format_distance(usec_t time, usec_t now, char text[TIME_TEXT_SIZE])
{
    static const struct unit {
        usec_t length;
        const char *name;
    } units[] = {{USEC_PER_DAY, "days"}, {USEC_PER_HOUR, "h"}, {USEC_PER_MINUTE, "min"}};
    usec_t distance = time > now ? time - now : now - time;
    struct unit unit = {USEC_PER_SEC, "s"};
    /* From two on, since "1 day" would stand for anything up to two. */
    for (size_t i = ARRAY_LEN(units); i-- > 0;) {
        unit = distance >= 2 * units[i].length ? units[i] : unit;
    }
    snprintf(text, TIME_TEXT_SIZE, "%s%lld %s%s", time > now ? "in " : "",
             (long long)(distance / unit.length), unit.name, time > now ? "" : " ago");
    return text;
}
