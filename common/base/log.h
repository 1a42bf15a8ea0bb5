/* SPDX-License-Identifier: Apache-2.0 */
/* The program's log: one event, one line, one write(). Any thread.
 *
 * Readable text on a terminal; elsewhere key=value or JSON. When the output is the systemd journal,
 * a line starts with its priority, "<6>", and leaves out the time that the journal adds itself.
 * Control characters, quotes, marks of direction and bytes that are no UTF-8 are escaped, so no
 * peer can forge a line or steer a terminal. A line that would grow beyond 4 KiB loses the fields
 * that do not fit and ends in " ..." (JSON: "cut":true). Never log keys, cookies or bodies. */
#ifndef PORTICO_BASE_LOG_H
#define PORTICO_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"

enum log_level {
    LOG_LEVEL_ERROR,   /* someone must act */
    LOG_LEVEL_WARNING, /* odd, continuing */
    LOG_LEVEL_INFO,    /* lifecycle */
    LOG_LEVEL_DEBUG,   /* transitions */
};

enum log_format {
    LOG_FORMAT_AUTO, /* human on a terminal, key=value elsewhere */
    LOG_FORMAT_HUMAN,
    LOG_FORMAT_KEY_VALUE,
    LOG_FORMAT_JSON,
};

struct log_field {
    const char *key; /* a literal, never escaped; NULL: skipped */
    enum { LOG_FIELD_TEXT, LOG_FIELD_SIGNED, LOG_FIELD_UNSIGNED } kind;
    union {
        struct str text;
        int64_t number;
        uint64_t count;
    } value;
};

#define LOG_STR(name, view) ((struct log_field){name, LOG_FIELD_TEXT, {.text = (view)}})
#define LOG_TEXT(name, string) LOG_STR(name, str_from(string))
#define LOG_INT(name, n) ((struct log_field){name, LOG_FIELD_SIGNED, {.number = (n)}})
#define LOG_UINT(name, n) ((struct log_field){name, LOG_FIELD_UNSIGNED, {.count = (n)}})

/* log_info("member joined", LOG_UINT("member", port), LOG_TEXT("via", "registration"));
 * The first fields are the identity of the object that speaks. */
#define log_error(event, ...) LOG_AT(LOG_LEVEL_ERROR, NULL, event, ##__VA_ARGS__)
#define log_warning(event, ...) LOG_AT(LOG_LEVEL_WARNING, NULL, event, ##__VA_ARGS__)
#define log_info(event, ...) LOG_AT(LOG_LEVEL_INFO, NULL, event, ##__VA_ARGS__)
#define log_debug(event, ...) LOG_AT(LOG_LEVEL_DEBUG, NULL, event, ##__VA_ARGS__)

/* For events that a peer can cause: at most `burst` lines in each `period`, the rest is counted
 * and told as left_out=N with the next line, or by log_limits_flush(). One static object for each
 * reason, and an event of its own, which is all that log_limits_flush() can tell:
 *     static struct log_limit limit = LOG_LIMIT(10, USEC_PER_SEC);
 *     log_limited(&limit, LOG_LEVEL_WARNING, "bare LF refused", LOG_UINT("proxy", id)); */
struct log_limit {
    const uint32_t burst;
    const usec_t period;
    _Atomic usec_t window_end;
    atomic_uint in_window;
    atomic_uint_least64_t left_out;
    atomic_bool listed;
    atomic_int level; /* of the last event; these two are for log_limits_flush() */
    const char *_Atomic event;
    struct log_limit *next;
};

#define LOG_LIMIT(lines, window)             \
    {                                        \
        .burst = (lines), .period = (window) \
    }
#define log_limited(limit, level, event, ...) LOG_AT(level, limit, event, ##__VA_ARGS__)

/* Tell what has been left out and not been told yet, a line for each reason. Call it now and then
 * and at the end. */
void log_limits_flush(void);

struct log_settings {
    int fd; /* borrowed */
    enum log_level level;
    enum log_format format;
    const struct clock *clock; /* borrowed for good; NULL: the system's */
};

/* Until the first call: standard error, info, automatic format. Not while other threads log. */
void log_configure(const struct log_settings *settings);

/* May be called at any time, from any thread. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* Lines that could not be written since the start (full disk, closed pipe). The program ignores
 * SIGPIPE. */
uint64_t log_lines_lost(void);

/* An error value as one line: its message, with file, line, column and key as fields. */
void log_error_value(enum log_level level, const char *event, const struct error *error);

/* What the macros above call. Leaves errno as it was. */
void log_write(enum log_level level, struct log_limit *limit, const char *event, size_t count,
               const struct log_field *fields);

#define LOG_AT(level, limit, event, ...)                                           \
    do {                                                                           \
        if (log_enabled(level)) {                                                  \
            const struct log_field log_fields_[] = {{.key = NULL}, ##__VA_ARGS__}; \
            log_write(level, limit, event, ARRAY_LEN(log_fields_), log_fields_);   \
        }                                                                          \
    } while (0)

#endif
