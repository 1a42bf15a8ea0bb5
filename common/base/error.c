/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as plain values. Pure functions, any thread. */
#include "base/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Copy `text` to `out`: without control characters, and with an end mark instead of half a
 * character where it is cut. `text` may lie in `out`. */
static void copy_clean(char *out, size_t size, const char *text)
{
    size_t len = strlen(text);
    bool is_cut = len >= size;
    if (is_cut) {
        len = size - sizeof "...";
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80) {
            len--;
        }
    }
    memmove(out, text, len);
    out[len] = '\0';
    if (is_cut) {
        memcpy(out + len, "...", sizeof "...");
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f) {
            out[i] = '?';
        }
    }
}

/* MESSAGE, or MESSAGE: TAIL. Built aside, since the arguments may point into `error`. One byte
 * longer than the message, so that copy_clean() sees what did not fit. */
PRINTF_LIKE(3, 0)
static void set_message(struct error *error, const char *tail, const char *format,
                        va_list arguments)
{
    char text[sizeof error->message + 1];
    int needed = vsnprintf(text, sizeof text, format, arguments);
    if (needed >= 0 && (size_t)needed < sizeof text && tail[0] != '\0') {
        snprintf(text + needed, sizeof text - (size_t)needed, ": %s", tail);
    }
    copy_clean(error->message, sizeof error->message, needed < 0 ? format : text);
}

int error_set(struct error *error, int code, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        set_message(error, "", format, arguments);
        va_end(arguments);
    }
    return code;
}

int error_set_errno(struct error *error, int code, const char *format, ...)
{
    if (error != NULL) {
        char words[128];
        va_list arguments;
        va_start(arguments, format);
        set_message(error, strerror_r(-code, words, sizeof words), format, arguments);
        va_end(arguments);
    }
    return code;
}

int error_wrap(struct error *error, int code, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        set_message(error, error->message, format, arguments);
        va_end(arguments);
    }
    return code;
}

void error_set_place(struct error *error, const char *file, unsigned line, unsigned column)
{
    if (error != NULL) {
        copy_clean(error->file, sizeof error->file, file == NULL ? "" : file);
        error->line = line;
        error->column = column;
    }
}

void error_set_key(struct error *error, const char *key)
{
    if (error != NULL) {
        copy_clean(error->key, sizeof error->key, key == NULL ? "" : key);
    }
}

size_t error_format(const struct error *error, char *out, size_t size)
{
    char place[sizeof error->file + 32] = "";
    if (error->file[0] != '\0' && error->line > 0 && error->column > 0) {
        snprintf(place, sizeof place, "%s:%u:%u: ", error->file, error->line, error->column);
    } else if (error->file[0] != '\0' && error->line > 0) {
        snprintf(place, sizeof place, "%s:%u: ", error->file, error->line);
    } else if (error->file[0] != '\0') {
        snprintf(place, sizeof place, "%s: ", error->file);
    }
    int needed = snprintf(out, size, "%s%s%s%s", place, error->key,
                          error->key[0] == '\0' ? "" : ": ", error->message);
    return needed < 0 ? 0 : (size_t)needed;
}
