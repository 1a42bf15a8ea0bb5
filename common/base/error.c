/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as plain values. Pure functions, any thread. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void mark_cut(char *text, size_t size, int needed)
{
    if (needed >= 0 && (size_t)needed >= size) {
        memcpy(text + size - 4, "...", 4);
    }
}

PRINTF_LIKE(3, 0)
static void format_message(char *out, size_t size, const char *format, va_list arguments)
{
    mark_cut(out, size, vsnprintf(out, size, format, arguments));
}

int error_set(struct error *error, int code, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        format_message(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return code;
}

static void append(struct error *error, const char *separator, const char *text)
{
    size_t used = strlen(error->message);
    size_t room = sizeof error->message - used;
    int needed = snprintf(error->message + used, room, "%s%s", separator, text);
    if (needed >= 0 && (size_t)needed >= room) {
        mark_cut(error->message, sizeof error->message, (int)sizeof error->message);
    }
}

int error_set_errno(struct error *error, int code, const char *format, ...)
{
    if (error != NULL) {
        char words[128];
        va_list arguments;
        va_start(arguments, format);
        format_message(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        append(error, ": ", strerror_r(-code, words, sizeof words));
    }
    return code;
}

int error_wrap(struct error *error, int code, const char *format, ...)
{
    if (error != NULL) {
        char cause[sizeof error->message];
        va_list arguments;
        memcpy(cause, error->message, sizeof cause);
        va_start(arguments, format);
        format_message(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        append(error, ": ", cause);
    }
    return code;
}

void error_set_place(struct error *error, const char *file, unsigned line, unsigned column)
{
    if (error != NULL) {
        int needed = snprintf(error->file, sizeof error->file, "%s", file == NULL ? "" : file);
        mark_cut(error->file, sizeof error->file, needed);
        error->line = line;
        error->column = column;
    }
}

void error_set_key(struct error *error, const char *key)
{
    if (error != NULL) {
        mark_cut(error->key, sizeof error->key,
                 snprintf(error->key, sizeof error->key, "%s", key == NULL ? "" : key));
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
