/* SPDX-License-Identifier: Apache-2.0 */
/* Where the log goes, what it lets through, and how a line begins. Lines are put together on the
 * caller's stack (log_line.c) and leave with one write(), so threads need no lock and lines never
 * mix. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log_line.h"

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

/* People at a terminal read their own time of day, machines read UTC. */
static void put_time(struct log_line *line)
{
    usec_t now = clock_wall(sink.clock);
    time_t seconds = (time_t)(now / USEC_PER_SEC);
    long microseconds = (long)(now % USEC_PER_SEC);
    struct tm parts;
    char text[40];
    if (line->format == LOG_FORMAT_HUMAN) {
        localtime_r(&seconds, &parts);
        strftime(text, sizeof text, "%H:%M:%S", &parts);
        log_line_format(line, "%s.%03ld ", text, microseconds / 1000);
        return;
    }
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    const char *open = line->format == LOG_FORMAT_JSON ? "\"time\":\"" : "time=";
    const char *close = line->format == LOG_FORMAT_JSON ? "\"," : " ";
    log_line_format(line, "%s%s.%06ldZ%s", open, text, microseconds, close);
}

static void put_head(struct log_line *line, enum log_level level, const char *event)
{
    if (sink.to_journal) {
        log_line_format(line, "<%c>", levels[level].syslog);
    }
    log_line_put(line, line->format == LOG_FORMAT_JSON ? STR("{") : STR(""));
    if (!sink.to_journal) {
        put_time(line);
    }
    switch (line->format) {
    case LOG_FORMAT_AUTO:
    case LOG_FORMAT_HUMAN:
        log_line_format(line, "%s ", levels[level].human);
        log_line_put_escaped(line, str_from(event));
        return;
    case LOG_FORMAT_KEY_VALUE:
        log_line_format(line, "level=%s", levels[level].name);
        break;
    case LOG_FORMAT_JSON:
        log_line_format(line, "\"level\":\"%s\"", levels[level].name);
        break;
    }
    log_line_put_field(line, &LOG_TEXT("event", event));
}

/* Any failure but an interruption loses the line; waiting or retrying here would stall a worker for
 * a log that nobody can take. */
static void emit(const struct log_line *line)
{
    ssize_t written;
    do {
        written = write(sink.fd, line->text, line->len);
    } while (written < 0 && errno == EINTR);
    if (written != (ssize_t)line->len) {
        atomic_fetch_add_explicit(&lines_lost, 1, memory_order_relaxed);
    }
}

static void write_line(enum log_level level, const char *event, uint64_t left_out, size_t count,
                       const struct log_field *fields)
{
    struct log_line line;
    log_line_init(&line, sink.format);
    put_head(&line, level, event);
    for (size_t i = 0; i < count; i++) {
        log_line_put_field(&line, &fields[i]);
    }
    log_line_end(&line, left_out);
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

/* Whether one more line fits the window. Threads that race at its edge may let a few lines more or
 * less pass; the count of what was left out is exact. */
static bool limit_allows(struct log_limit *limit)
{
    usec_t now = clock_monotonic(sink.clock);
    usec_t end = atomic_load(&limit->window_end);
    if (now >= end &&
        atomic_compare_exchange_strong(&limit->window_end, &end, usec_add(now, limit->period))) {
        atomic_store(&limit->in_window, 0);
    }
    /* Looking first keeps the count from wrapping round in a long window. */
    return atomic_load(&limit->in_window) < limit->burst &&
           atomic_fetch_add(&limit->in_window, 1) < limit->burst;
}

void log_write(enum log_level level, struct log_limit *limit, const char *event, size_t count,
               const struct log_field *fields)
{
    int saved_errno = errno; /* callers log a failure and then return its -errno */
    uint64_t left_out = 0;
    bool is_allowed = true;
    pthread_once(&configured_once, configure_default);
    if (limit != NULL) {
        enlist(limit);
        atomic_store(&limit->level, (int)level);
        atomic_store(&limit->event, event);
        is_allowed = limit_allows(limit);
        left_out = is_allowed ? atomic_exchange(&limit->left_out, 0) : 0;
    }
    if (is_allowed) {
        write_line(level, event, left_out, count, fields);
    } else {
        atomic_fetch_add(&limit->left_out, 1);
    }
    errno = saved_errno;
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
