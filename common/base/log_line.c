/* SPDX-License-Identifier: Apache-2.0 */
/* Puts lines of the log together. Never fails and never allocates: what does not fit is left out
 * and the line says so. */
#include "base/log_line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/utf8.h"

/* For the longest end: `,"left_out":18446744073709551615,"cut":true}` and a line feed. */
enum { KEPT_BACK = 64 };

void log_line_init(struct log_line *line, enum log_format format)
{
    line->format = format;
    line->is_cut = false;
    line->len = 0;
    line->room = sizeof line->text - KEPT_BACK;
}

/* False when it does not fit; then nothing is put. */
static bool put(struct log_line *line, struct str text)
{
    if (text.len > line->room - line->len) {
        line->is_cut = true;
        return false;
    }
    if (text.len > 0) {
        memcpy(line->text + line->len, text.data, text.len);
        line->len += text.len;
    }
    return true;
}

void log_line_put(struct log_line *line, struct str text)
{
    (void)put(line, text);
}

void log_line_format(struct log_line *line, const char *format, ...)
{
    char text[128];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    CHECK(len >= 0 && (size_t)len < sizeof text);
    log_line_put(line, str_make(text, (size_t)len));
}

/* Bytes at the front that can stay as they are. */
static size_t harmless(struct str text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    size_t len = utf8_sequence(text);
    if (len == 1) {
        bool is_shown = bytes[0] >= 0x20 && bytes[0] < 0x7f && bytes[0] != '"' && bytes[0] != '\\';
        return is_shown ? 1 : 0;
    }
    return len > 0 && !utf8_steers_terminal(bytes) ? len : 0;
}

/* JSON knows no \x, and a byte that is no character has no other notation there than the code point
 * of the same number. */
static bool put_escaped_byte(struct log_line *line, unsigned char byte)
{
    char text[8];
    if (byte == '"' || byte == '\\') {
        return put(line, str_make((const char[]){'\\', (char)byte}, 2));
    }
    snprintf(text, sizeof text, "%s%02x", line->format == LOG_FORMAT_JSON ? "\\u00" : "\\x", byte);
    return put(line, str_from(text));
}

void log_line_put_escaped(struct log_line *line, struct str text)
{
    bool fits = true;
    while (text.len > 0 && fits) {
        size_t len = harmless(text);
        fits = len > 0 ? put(line, str_first(text, len))
                       : put_escaped_byte(line, (unsigned char)text.data[0]);
        text = str_skip(text, len > 0 ? len : 1);
    }
}

/* What needs no quotes in key=value form. */
static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '=') {
            return false;
        }
    }
    return text.len > 0;
}

static void put_value(struct log_line *line, const struct log_field *field)
{
    bool is_quoted = false;
    switch (field->kind) {
    case LOG_FIELD_SIGNED:
        log_line_format(line, "%lld", (long long)field->value.number);
        return;
    case LOG_FIELD_UNSIGNED:
        log_line_format(line, "%llu", (unsigned long long)field->value.count);
        return;
    case LOG_FIELD_TEXT:
        is_quoted = line->format == LOG_FORMAT_JSON || !is_plain(field->value.text);
        break;
    }
    log_line_put(line, is_quoted ? STR("\"") : STR(""));
    log_line_put_escaped(line, field->value.text);
    log_line_put(line, is_quoted ? STR("\"") : STR(""));
}

void log_line_put_field(struct log_line *line, const struct log_field *field)
{
    bool is_json = line->format == LOG_FORMAT_JSON;
    bool was_cut = line->is_cut;
    size_t before = line->len;
    if (field->key == NULL) {
        return;
    }
    line->is_cut = false;
    log_line_put(line, is_json ? STR(",\"") : STR(" "));
    log_line_put(line, str_from(field->key));
    log_line_put(line, is_json ? STR("\":") : STR("="));
    put_value(line, field);
    if (line->is_cut) {
        line->len = before;
    }
    line->is_cut |= was_cut;
}

void log_line_end(struct log_line *line, uint64_t left_out)
{
    bool is_json = line->format == LOG_FORMAT_JSON;
    bool is_cut = line->is_cut;
    line->room = sizeof line->text;
    if (left_out > 0) {
        log_line_put_field(line, &LOG_UINT("left_out", left_out));
    }
    if (is_cut) {
        log_line_put(line, is_json ? STR(",\"cut\":true") : STR(" ..."));
    }
    log_line_put(line, is_json ? STR("}\n") : STR("\n"));
}
