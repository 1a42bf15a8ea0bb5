/* SPDX-License-Identifier: Apache-2.0 */
/* Formats events and writes them. Lines are put together on the caller's stack and leave with one
 * write(), so threads need no lock and lines never mix. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

/* Longer lines are cut; journald and most collectors cut not far above. */
enum { LOG_LINE_MAX = 4096 };

static const struct {
    const char *name;
    const char *human;
    char syslog; /* priority digit, sd-daemon(3) */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", "ERROR", '3'},
    [LOG_LEVEL_WARNING] = {"warning", "warn ", '4'},
    [LOG_LEVEL_INFO] = {"info", "info ", '6'},
    [LOG_LEVEL_DEBUG] = {"debug", "debug", '7'},
};

static struct {
    int fd;
    enum log_format format; /* never LOG_FORMAT_AUTO once configured */
    bool to_journal;
    const struct clock *clock;
} sink = {STDERR_FILENO, LOG_FORMAT_AUTO, false, &clock_system};

static pthread_once_t configured_once = PTHREAD_ONCE_INIT;
static atomic_int threshold = LOG_LEVEL_INFO;
static atomic_uint_least64_t lines_lost;
static struct log_limit *_Atomic limits;

/* systemd sets JOURNAL_STREAM to the device and inode of the stream it connected; comparing keeps
 * a redirected output from being taken for the journal (systemd.exec(5)). */
static bool is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device;
    unsigned long long inode;
    struct stat status;
    return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(fd, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

void log_configure(const struct log_settings *settings)
{
    sink.fd = settings->fd;
    sink.clock = settings->clock == NULL ? &clock_system : settings->clock;
    sink.to_journal = is_journal(settings->fd);
    sink.format = settings->format;
    if (sink.format == LOG_FORMAT_AUTO) {
        sink.format = isatty(settings->fd) ? LOG_FORMAT_HUMAN : LOG_FORMAT_KEY_VALUE;
    }
    log_set_level(settings->level);
}

/* For programs that log before, or without, log_configure(). */
static void configure_default(void)
{
    if (sink.format == LOG_FORMAT_AUTO) {
        log_configure(&(struct log_settings){.fd = STDERR_FILENO,
                                             .level = (enum log_level)atomic_load(&threshold)});
    }
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

uint64_t log_lines_lost(void)
{
    return atomic_load(&lines_lost);
}

/* A line under construction. Room for the end mark and the newline is kept back. */
struct line {
    size_t len;
    bool cut;
    char text[LOG_LINE_MAX];
};

static void put(struct line *line, const char *data, size_t len)
{
    enum { KEPT_BACK = 8 };
    if (line->cut || len > sizeof line->text - KEPT_BACK - line->len) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->len, data, len);
    line->len += len;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

PRINTF_LIKE(2, 3)
static void put_format(struct line *line, const char *format, ...)
{
    char text[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put_text(line, text);
}

/* Length of the well-formed UTF-8 sequence of two to four bytes at `text`, 0 when there is none
 * (RFC 3629 4). C1 control characters, U+0080 to U+009F, count as none: terminals obey them. */
static size_t utf8_sequence(struct str text)
{
    unsigned char first = (unsigned char)text.data[0];
    size_t len = first >= 0xf0 && first <= 0xf4 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
    if (len == 0 || first > 0xf4 || text.len < len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)text.data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    unsigned char second = (unsigned char)text.data[1];
    bool is_c1 = first == 0xc2 && second < 0xa0;
    bool is_overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
    bool is_beyond = (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
    return is_c1 || is_overlong || is_beyond ? 0 : len;
}

/* Text between quotes. JSON knows no \x, and a byte that is no character has no other notation
 * there than the code point of the same number. */
static void put_escaped(struct line *line, struct str text)
{
    const char *byte_prefix = sink.format == LOG_FORMAT_JSON ? "\\u00" : "\\x";
    while (text.len > 0 && !line->cut) {
        unsigned char c = (unsigned char)text.data[0];
        size_t taken = 1;
        if (c == '"' || c == '\\') {
            put(line, (const char[]){'\\', (char)c}, 2);
        } else if (c >= 0x20 && c < 0x7f) {
            put(line, text.data, 1);
        } else if (c >= 0x80 && (taken = utf8_sequence(text)) > 0) {
            put(line, text.data, taken);
        } else {
            taken = 1;
            put_format(line, "%s%02x", byte_prefix, c);
        }
        text = str_skip(text, taken);
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

static void put_value(struct line *line, const struct log_field *field)
{
    bool quoted = false;
    switch (field->kind) {
    case LOG_FIELD_SIGNED:
        put_format(line, "%lld", (long long)field->value.number);
        return;
    case LOG_FIELD_UNSIGNED:
        put_format(line, "%llu", (unsigned long long)field->value.count);
        return;
    case LOG_FIELD_TEXT:
        quoted = sink.format == LOG_FORMAT_JSON || !is_plain(field->value.text);
        break;
    }
    put_text(line, quoted ? "\"" : "");
    put_escaped(line, field->value.text);
    put_text(line, quoted ? "\"" : "");
}

static void put_field(struct line *line, const struct log_field *field)
{
    if (field->key == NULL) {
        return;
    }
    /* A value that does not fit takes its whole field with it: half a string would break JSON. */
    size_t before = line->len;
    if (sink.format == LOG_FORMAT_JSON) {
        put_format(line, ",\"%s\":", field->key);
    } else {
        put_format(line, " %s=", field->key);
    }
    put_value(line, field);
    if (line->cut) {
        line->len = before;
    }
}

static void put_time(struct line *line)
{
    usec_t now = clock_wall(sink.clock);
    time_t seconds = (time_t)(now / USEC_PER_SEC);
    long microseconds = (long)(now % USEC_PER_SEC);
    struct tm parts;
    char text[40];
    if (sink.format == LOG_FORMAT_HUMAN) {
        localtime_r(&seconds, &parts);
        strftime(text, sizeof text, "%H:%M:%S", &parts);
        put_format(line, "%s.%03ld ", text, microseconds / 1000);
        return;
    }
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    const char *open = sink.format == LOG_FORMAT_JSON ? "\"time\":\"" : "time=";
    const char *close = sink.format == LOG_FORMAT_JSON ? "\"," : " ";
    put_format(line, "%s%s.%06ldZ%s", open, text, microseconds, close);
}

static void put_head(struct line *line, enum log_level level, const char *event)
{
    const struct log_field what = LOG_TEXT("event", event);
    if (sink.to_journal) {
        put_format(line, "<%c>", levels[level].syslog);
    }
    switch (sink.format) {
    case LOG_FORMAT_AUTO:
    case LOG_FORMAT_HUMAN:
        put_time(line);
        put_format(line, "%s ", levels[level].human);
        put_escaped(line, what.value.text);
        return;
    case LOG_FORMAT_KEY_VALUE:
        if (!sink.to_journal) {
            put_time(line);
        }
        put_format(line, "level=%s", levels[level].name);
        break;
    case LOG_FORMAT_JSON:
        put_text(line, "{");
        put_time(line);
        put_format(line, "\"level\":\"%s\"", levels[level].name);
        break;
    }
    put_field(line, &what);
}

static void put_end(struct line *line)
{
    const char *end = "\n";
    if (sink.format == LOG_FORMAT_JSON) {
        end = "}\n"; /* a field that did not fit is missing whole, see put_field() */
    } else if (line->cut) {
        end = " ...\n";
    }
    size_t len = strlen(end);
    CHECK(len <= sizeof line->text - line->len);
    memcpy(line->text + line->len, end, len);
    line->len += len;
}

static void emit(const struct line *line)
{
    /* A short or failed write loses the line; blocking or retrying here would stall a worker for
     * a log that nobody can take. */
    if (write(sink.fd, line->text, line->len) != (ssize_t)line->len) {
        atomic_fetch_add_explicit(&lines_lost, 1, memory_order_relaxed);
    }
}

static void write_line(enum log_level level, const char *event, uint64_t left_out, size_t count,
                       const struct log_field *fields)
{
    struct line line = {.len = 0};
    pthread_once(&configured_once, configure_default);
    put_head(&line, level, event);
    for (size_t i = 0; i < count; i++) {
        put_field(&line, &fields[i]);
    }
    if (left_out > 0) {
        put_field(&line, &LOG_UINT("left_out", left_out));
    }
    put_end(&line);
    emit(&line);
}

static void enlist(struct log_limit *limit)
{
    if (atomic_exchange(&limit->listed, true)) {
        return;
    }
    limit->next = atomic_load(&limits);
    while (!atomic_compare_exchange_weak(&limits, &limit->next, limit)) {
    }
}

/* Whether one more line fits the window. Threads that race at its edge may let a line more or less
 * pass; the count of what was left out is exact. */
static bool limit_allows(struct log_limit *limit)
{
    usec_t now = clock_monotonic(sink.clock);
    usec_t start = atomic_load(&limit->window_start);
    if ((start == 0 || now - start >= limit->period) &&
        atomic_compare_exchange_strong(&limit->window_start, &start, now)) {
        atomic_store(&limit->in_window, 0);
    }
    return atomic_fetch_add(&limit->in_window, 1) < limit->burst;
}

void log_write(enum log_level level, struct log_limit *limit, const char *event, size_t count,
               const struct log_field *fields)
{
    uint64_t left_out = 0;
    if (limit != NULL) {
        enlist(limit);
        atomic_store(&limit->level, (int)level);
        atomic_store(&limit->event, event);
        if (!limit_allows(limit)) {
            atomic_fetch_add(&limit->left_out, 1);
            return;
        }
        left_out = atomic_exchange(&limit->left_out, 0);
    }
    write_line(level, event, left_out, count, fields);
}

void log_limits_flush(void)
{
    for (struct log_limit *limit = atomic_load(&limits); limit != NULL; limit = limit->next) {
        uint64_t left_out = atomic_exchange(&limit->left_out, 0);
        if (left_out > 0) {
            write_line((enum log_level)atomic_load(&limit->level), atomic_load(&limit->event),
                       left_out, 0, NULL);
        }
    }
}

void log_error_value(enum log_level level, const char *event, const struct error *error)
{
    struct log_field fields[] = {
        LOG_TEXT("file", error->file),     LOG_UINT("line", error->line),
        LOG_UINT("column", error->column), LOG_TEXT("key", error->key),
        LOG_TEXT("error", error->message),
    };
    if (error->file[0] == '\0') {
        fields[0].key = NULL;
    }
    if (error->line == 0) {
        fields[1].key = NULL;
    }
    if (error->column == 0) {
        fields[2].key = NULL;
    }
    if (error->key[0] == '\0') {
        fields[3].key = NULL;
    }
    if (log_enabled(level)) {
        log_write(level, NULL, event, ARRAY_LEN(fields), fields);
    }
}
