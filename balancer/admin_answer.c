/* SPDX-License-Identifier: Apache-2.0 */
/* Two shapes of an answer behind one set of calls. */
#include "admin_answer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/utf8.h"

void admin_init(struct admin_answer *answer, bool is_json)
{
    *answer = (struct admin_answer){.is_json = is_json};
    buffer_init(&answer->out, ADMIN_ANSWER_MAX);
    buffer_init(&answer->cells, ADMIN_ANSWER_MAX);
}

void admin_done(struct admin_answer *answer)
{
    buffer_done(&answer->out);
    buffer_done(&answer->cells);
}

/* ---- Bytes ---- */

/* Cells wait until the widths of their columns are known. */
static struct buffer *target(struct admin_answer *answer)
{
    return answer->is_table && !answer->is_json ? &answer->cells : &answer->out;
}

static void put(struct admin_answer *answer, struct str text)
{
    int result = buffer_append(target(answer), text);
    answer->failure = answer->failure == 0 ? result : answer->failure;
}

static void put_number(struct admin_answer *answer, int64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, number);
    put(answer, str_from(text));
}

static size_t harmless(struct str text, bool is_json)
{
    unsigned char c = (unsigned char)text.data[0];
    size_t len = utf8_sequence(text);
    if (len == 1) {
        bool is_shown = c >= 0x20 && c < 0x7f;
        return is_shown && !(is_json && (c == '"' || c == '\\')) ? 1 : 0;
    }
    return len > 0 && !utf8_steers_terminal((const unsigned char *)text.data) ? len : 0;
}

static void put_escaped_byte(struct admin_answer *answer, unsigned char byte)
{
    char text[8];
    if (answer->is_json && (byte == '"' || byte == '\\')) {
        put(answer, str_make((const char[]){'\\', (char)byte}, 2));
        return;
    }
    snprintf(text, sizeof text, "%s%02x", answer->is_json ? "\\u00" : "\\x", byte);
    put(answer, str_from(text));
}

void admin_escaped(struct admin_answer *answer, struct str text)
{
    while (text.len > 0) {
        size_t len = harmless(text, answer->is_json);
        if (len > 0) {
            put(answer, str_first(text, len));
        } else {
            put_escaped_byte(answer, (unsigned char)text.data[0]);
        }
        text = str_skip(text, len > 0 ? len : 1);
    }
}

void admin_printf(struct admin_answer *answer, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    CHECK(len >= 0);
    put(answer, str_first(str_from(text), sizeof text - 1));
}

/* ---- Errors and the end ---- */

static void reset(struct admin_answer *answer)
{
    buffer_clear(&answer->out);
    buffer_clear(&answer->cells);
    answer->is_table = false;
    answer->depth = 0;
    answer->has_items[0] = false;
    answer->failure = 0;
}

void admin_fail(struct admin_answer *answer, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    CHECK(len >= 0);
    reset(answer);
    answer->is_error = true;
    put(answer, answer->is_json ? STR("{\"error\":\"") : STR("error: "));
    admin_escaped(answer, str_from(text));
    put(answer, answer->is_json ? STR("\"}") : STR(""));
}

void admin_finish(struct admin_answer *answer)
{
    if (answer->failure != 0) {
        admin_fail(answer, "the answer is too large, or there is no memory for it");
    }
    if (!str_ends_with(buffer_view(&answer->out), STR("\n"))) {
        put(answer, STR("\n"));
    }
}

/* ---- Objects and lists ---- */

static void begin_item(struct admin_answer *answer, const char *name)
{
    if (answer->has_items[answer->depth]) {
        put(answer, STR(","));
    }
    answer->has_items[answer->depth] = true;
    if (name != NULL) {
        put(answer, STR("\""));
        put(answer, str_from(name));
        put(answer, STR("\":"));
    }
}

static void open_bracket(struct admin_answer *answer, const char *name, struct str bracket)
{
    begin_item(answer, name);
    put(answer, bracket);
    CHECK(answer->depth + 1 < ADMIN_ANSWER_DEPTH_MAX);
    answer->has_items[++answer->depth] = false;
}

static void close_bracket(struct admin_answer *answer, struct str bracket)
{
    CHECK(answer->depth > 0);
    answer->depth--;
    put(answer, bracket);
}

void admin_object_begin(struct admin_answer *answer)
{
    if (answer->is_json) {
        open_bracket(answer, NULL, STR("{"));
    }
    if (answer->is_table) {
        answer->columns = 0;
    }
}

void admin_object_end(struct admin_answer *answer)
{
    if (answer->is_json) {
        close_bracket(answer, STR("}"));
    } else if (answer->is_table) {
        put(answer, STR("\n"));
    }
    answer->rows++;
}

void admin_list_begin(struct admin_answer *answer, const char *name)
{
    if (answer->is_json) {
        open_bracket(answer, name, STR("["));
    }
    answer->is_table = true;
    answer->rows = answer->columns = 0;
}

/* ---- Tables for people ---- */

/* In characters. */
static size_t width_of(struct str text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++) {
        width += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    }
    return width;
}

static void put_cell(struct admin_answer *answer, struct str cell, size_t width, bool is_last)
{
    put(answer, cell);
    for (size_t i = width_of(cell); i < width + 2 && !is_last; i++) {
        put(answer, STR(" "));
    }
}

static void measure(struct admin_answer *answer, size_t widths[ADMIN_ANSWER_COLUMNS_MAX])
{
    struct str rest = buffer_view(&answer->cells);
    struct str row, cell;
    while (rest.len > 0 && str_split(&rest, '\n', &row)) {
        for (size_t i = 0; row.len > 0 && str_split(&row, '\t', &cell); i++) {
            size_t width = width_of(cell);
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
}

static void put_titles(struct admin_answer *answer, const size_t widths[ADMIN_ANSWER_COLUMNS_MAX])
{
    for (size_t i = 0; i < answer->columns; i++) {
        char title[64];
        size_t len = 0;
        for (; answer->titles[i][len] != '\0' && len + 1 < sizeof title; len++) {
            char c = answer->titles[i][len];
            title[len] = (char)(c == '_' ? ' ' : c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
        }
        put_cell(answer, str_make(title, len), widths[i], i + 1 == answer->columns);
    }
    put(answer, STR("\n"));
}

static void put_rows(struct admin_answer *answer, const size_t widths[ADMIN_ANSWER_COLUMNS_MAX])
{
    struct str rest = buffer_view(&answer->cells);
    struct str row, cell;
    while (rest.len > 0 && str_split(&rest, '\n', &row)) {
        for (size_t i = 0; row.len > 0 && str_split(&row, '\t', &cell); i++) {
            put_cell(answer, cell, widths[i], i + 1 == answer->columns);
        }
        put(answer, STR("\n"));
    }
}

static void put_table(struct admin_answer *answer)
{
    size_t widths[ADMIN_ANSWER_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < answer->columns; i++) {
        widths[i] = strlen(answer->titles[i]);
    }
    measure(answer, widths);
    put_titles(answer, widths);
    put_rows(answer, widths);
    buffer_clear(&answer->cells);
}

void admin_list_end(struct admin_answer *answer, const char *none)
{
    answer->is_table = false;
    if (answer->is_json) {
        close_bracket(answer, STR("]"));
    } else if (answer->rows > 0) {
        put_table(answer);
    } else {
        put(answer, str_from(none));
        put(answer, STR("\n"));
    }
}

/* ---- Values ---- */

/* What goes before a value. */
static void begin_value(struct admin_answer *answer, const char *name)
{
    if (answer->is_json) {
        begin_item(answer, name);
    } else if (answer->is_table) {
        CHECK(answer->columns < ADMIN_ANSWER_COLUMNS_MAX);
        answer->titles[answer->columns++] = name;
    } else {
        admin_printf(answer, "%-18s ", name);
    }
}

static void end_value(struct admin_answer *answer)
{
    if (!answer->is_json) {
        put(answer, answer->is_table ? STR("\t") : STR("\n"));
    }
}

void admin_text(struct admin_answer *answer, const char *name, struct str text)
{
    begin_value(answer, name);
    if (text.len == 0) {
        put(answer, answer->is_json ? STR("null") : STR("-"));
    } else {
        put(answer, answer->is_json ? STR("\"") : STR(""));
        admin_escaped(answer, text);
        put(answer, answer->is_json ? STR("\"") : STR(""));
    }
    end_value(answer);
}

void admin_number(struct admin_answer *answer, const char *name, int64_t number)
{
    begin_value(answer, name);
    put_number(answer, number);
    end_value(answer);
}

void admin_bool(struct admin_answer *answer, const char *name, bool value)
{
    struct str yes = answer->is_json ? STR("true") : STR("yes");
    struct str no = answer->is_json ? STR("false") : STR("no");
    begin_value(answer, name);
    put(answer, value ? yes : no);
    end_value(answer);
}

/* Microseconds under a name that says so. */
static void put_microseconds(struct admin_answer *answer, const char *name, usec_t time)
{
    begin_item(answer, NULL);
    put(answer, STR("\""));
    put(answer, str_from(name));
    put(answer, STR("_us\":"));
    put_number(answer, time);
}

void admin_duration(struct admin_answer *answer, const char *name, usec_t duration)
{
    if (answer->is_json) {
        put_microseconds(answer, name, duration);
        return;
    }
    begin_value(answer, name);
    if (duration < USEC_PER_SEC) {
        admin_printf(answer, "%.3fms", (double)duration / 1e3);
    } else {
        admin_printf(answer, "%.3fs", (double)duration / 1e6);
    }
    end_value(answer);
}

void admin_time(struct admin_answer *answer, const char *name, usec_t wall)
{
    char text[32];
    struct tm date;
    time_t seconds = (time_t)(wall / USEC_PER_SEC);
    if (answer->is_json) {
        put_microseconds(answer, name, wall);
        return;
    }
    begin_value(answer, name);
    gmtime_r(&seconds, &date);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &date);
    put(answer, str_from(text));
    end_value(answer);
}
