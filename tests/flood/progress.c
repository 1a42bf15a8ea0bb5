/* SPDX-License-Identifier: Apache-2.0 */
/* Progress on a stream. On a terminal the block of lines is erased and drawn again, so notes can be
 * printed above it. The monitoring thread's. */
#include "progress.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/utf8.h"
#include "words.h"

enum { LINES_MAX = 4, LINE_SIZE = 512, BAR_WIDTH = 20, REASONS_SHOWN = 4 };

struct progress {
    FILE *out;
    struct progress_style style;
    char lines[LINES_MAX][LINE_SIZE];
    size_t line_count; /* that are on the terminal now */
    usec_t last;       /* when something was shown */
    bool has_shown;
};

struct progress_style progress_style_of(FILE *out)
{
    struct progress_style style = {.interval = 5 * USEC_PER_SEC};
    struct winsize size;
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    style.is_terminal = isatty(fileno(out)) == 1 && term != NULL && strcmp(term, "dumb") != 0;
    style.has_color = style.is_terminal && (no_color == NULL || no_color[0] == '\0');
    if (style.is_terminal && ioctl(fileno(out), TIOCGWINSZ, &size) == 0) {
        style.columns = size.ws_col;
    }
    return style;
}

struct progress *progress_new(FILE *out, const struct progress_style *style)
{
    struct progress *progress = calloc(1, sizeof *progress);
    if (progress != NULL) {
        progress->out = out;
        progress->style = *style;
        if (progress->style.interval <= 0) {
            progress->style.interval = 5 * USEC_PER_SEC;
        }
    }
    return progress;
}

/* ---- Lines ---- */

PRINTF_LIKE(2, 3) static void append(char line[LINE_SIZE], const char *format, ...)
{
    size_t used = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + used, LINE_SIZE - used, format, arguments);
    va_end(arguments);
}

/* Names of phases and reasons, without what a terminal would obey. */
static void append_name(char line[LINE_SIZE], const char *name)
{
    for (struct str rest = str_from(name); rest.len > 0;) {
        size_t len = utf8_sequence(rest);
        unsigned char first = (unsigned char)rest.data[0];
        bool is_shown = len > 1 ? !utf8_steers_terminal((const unsigned char *)rest.data)
                                : len == 1 && first >= 0x20 && first < 0x7f;
        append(line, "%.*s", is_shown ? (int)len : 1, is_shown ? rest.data : "?");
        rest = str_skip(rest, len == 0 ? 1 : len);
    }
}

static void append_count(char line[LINE_SIZE], const char *before, uint64_t count)
{
    char text[WORDS_SIZE];
    words_count(count, text, sizeof text);
    append(line, "%s%s", before, text);
}

static void append_duration(char line[LINE_SIZE], const char *before, usec_t duration)
{
    char text[WORDS_SIZE];
    words_duration((double)duration, text, sizeof text);
    append(line, "%s%s", before, text);
}

static void append_clock(char line[LINE_SIZE], usec_t time)
{
    long long seconds = time / USEC_PER_SEC;
    append(line, "%02lld:%02lld", seconds / 60, seconds % 60);
}

static void append_time(char line[LINE_SIZE], const struct progress_sample *sample)
{
    append_clock(line, sample->elapsed);
    if (sample->duration > 0) {
        append(line, " of ");
        append_clock(line, sample->duration);
    }
    if (sample->phase != NULL) {
        append(line, "  ");
        append_name(line, sample->phase);
    }
}

static void append_bar(char line[LINE_SIZE], const struct progress_sample *sample)
{
    if (sample->duration <= 0) {
        return;
    }
    double share = (double)sample->elapsed / (double)sample->duration;
    int full = (int)(BAR_WIDTH * (share < 0 ? 0 : share > 1 ? 1 : share));
    append(line, "[%.*s%.*s] ", full, "####################", BAR_WIDTH - full,
           "....................");
}

static void append_rate(char line[LINE_SIZE], const struct progress_sample *sample)
{
    char text[WORDS_SIZE];
    words_number(sample->rate, text, sizeof text);
    append(line, "%s/s", text);
    if (sample->rate_wanted > 0) {
        words_number(sample->rate_wanted, text, sizeof text);
        append(line, " of %s", text);
    }
}

static void append_latency(char line[LINE_SIZE], const struct progress_sample *sample)
{
    append_duration(line, "p50 ", sample->p50);
    append_duration(line, "  p99 ", sample->p99);
    append_duration(line, "  max ", sample->max);
}

/* The kinds that are most, each as "name count". */
static void append_reasons(char line[LINE_SIZE], const struct progress_sample *sample)
{
    uint64_t below = UINT64_MAX;
    size_t shown = 0;
    size_t last = SIZE_MAX;
    while (shown < REASONS_SHOWN) {
        size_t best = SIZE_MAX;
        for (size_t i = 0; i < sample->failure_count; i++) {
            uint64_t count = sample->failures[i].count;
            bool is_next = count < below || (count == below && i > last && last != SIZE_MAX);
            bool is_more = best == SIZE_MAX || count > sample->failures[best].count;
            if (count > 0 && is_next && is_more) {
                best = i;
            }
        }
        if (best == SIZE_MAX) {
            return;
        }
        append(line, "%s", shown == 0 ? ": " : ", ");
        append_name(line, sample->failures[best].name);
        append_count(line, " ", sample->failures[best].count);
        below = sample->failures[best].count;
        last = best;
        shown++;
    }
    append(line, "%s", sample->failure_count > REASONS_SHOWN ? ", ..." : "");
}

static void append_counts(char line[LINE_SIZE], const struct progress_sample *sample)
{
    append_count(line, "ok ", sample->ok);
    if (sample->agents > 0) {
        append_count(line, "  enrolled ", sample->enrolled);
        append_count(line, " of ", sample->agents);
    }
    append_count(line, "  in flight ", sample->in_flight);
}

static void append_errors(char line[LINE_SIZE], const struct progress_sample *sample)
{
    append_count(line, "errors ", sample->failed);
    append_reasons(line, sample);
}

/* ---- Showing ---- */

/* Bytes of the line that fit into the terminal's width. */
static size_t fitting(const char *line, unsigned columns)
{
    struct str rest = str_from(line);
    size_t used = 0;
    for (unsigned shown = 0; rest.len > 0 && (columns == 0 || shown < columns); shown++) {
        size_t len = utf8_sequence(rest);
        used += len == 0 ? 1 : len;
        rest = str_skip(rest, len == 0 ? 1 : len);
    }
    return used;
}

static void erase(struct progress *progress)
{
    for (size_t i = 0; i < progress->line_count; i++) {
        fputs("\033[A\033[2K", progress->out);
    }
    progress->line_count = 0;
}

static void draw(struct progress *progress, size_t count, bool has_errors)
{
    erase(progress);
    for (size_t i = 0; i < count; i++) {
        bool is_red = has_errors && i + 1 == count && progress->style.has_color;
        fprintf(progress->out, "%s%.*s%s\n", is_red ? "\033[31m" : "",
                (int)fitting(progress->lines[i], progress->style.columns), progress->lines[i],
                is_red ? "\033[0m" : "");
    }
    progress->line_count = count;
}

static void show_live(struct progress *progress, const struct progress_sample *sample)
{
    char(*lines)[LINE_SIZE] = progress->lines;
    memset(lines, 0, sizeof progress->lines);
    append_bar(lines[0], sample);
    append_time(lines[0], sample);
    append_rate(lines[1], sample);
    append(lines[1], "  ");
    append_latency(lines[1], sample);
    append_duration(lines[1], "  late p99 ", sample->late_p99);
    append_counts(lines[2], sample);
    append_errors(lines[3], sample);
    draw(progress, LINES_MAX, sample->failed > 0);
}

static void show_plain(struct progress *progress, const struct progress_sample *sample)
{
    char line[LINE_SIZE] = "";
    append_time(line, sample);
    append(line, "  ");
    append_rate(line, sample);
    append(line, "  ");
    append_latency(line, sample);
    append(line, "  ");
    append_counts(line, sample);
    append(line, "  ");
    append_errors(line, sample);
    fprintf(progress->out, "%s\n", line);
}

void progress_update(struct progress *progress, const struct progress_sample *sample)
{
    usec_t interval = progress->style.is_terminal ? USEC_PER_SEC : progress->style.interval;
    /* A tenth of leniency, so that a caller who comes every second is not sent away every other
     * time. */
    if (progress->has_shown && sample->elapsed - progress->last < interval - interval / 10) {
        return;
    }
    progress->has_shown = true;
    progress->last = sample->elapsed;
    if (progress->style.is_terminal) {
        show_live(progress, sample);
    } else {
        show_plain(progress, sample);
    }
    fflush(progress->out);
}

void progress_note(struct progress *progress, const char *format, ...)
{
    size_t count = progress->line_count;
    va_list arguments;
    va_start(arguments, format);
    erase(progress);
    vfprintf(progress->out, format, arguments);
    fputc('\n', progress->out);
    va_end(arguments);
    if (count > 0) {
        draw(progress, count, false);
    }
    fflush(progress->out);
}

void progress_free(struct progress *progress)
{
    if (progress != NULL) {
        erase(progress);
        fflush(progress->out);
        free(progress);
    }
}
