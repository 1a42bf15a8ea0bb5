/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static char *text;
static size_t size;
static FILE *out;
static struct failure failures[] = {{"reset", "", 2}, {"timeout", "", 9}, {"odd\033[2J", "", 1}};
static struct progress_sample sample = {
    .elapsed = 12 * USEC_PER_SEC,
    .duration = 60 * USEC_PER_SEC,
    .phase = "steady",
    .rate = 1002,
    .rate_wanted = 1000,
    .p50 = 1200,
    .p99 = 8900,
    .max = 24000,
    .ok = 12034,
    .agents = 1000,
    .enrolled = 998,
    .failures = failures,
    .failure_count = 3,
    .failed = 12,
};

static void setup(void)
{
    out = open_memstream(&text, &size);
}

static void teardown(void)
{
    fclose(out);
    free(text);
}

TestSuite(progress, .init = setup, .fini = teardown);

Test(progress, elsewhere_there_is_one_plain_line_at_each_interval)
{
    struct progress_style style = {.interval = 5 * USEC_PER_SEC};
    struct progress *progress = progress_new(out, &style);
    for (int i = 1; i <= 11; i++) {
        sample.elapsed = i * USEC_PER_SEC;
        progress_update(progress, &sample);
    }
    progress_free(progress);
    size_t lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    cr_assert_eq(lines, 3, "%s", text);
    cr_assert_null(strchr(text, '\033'));
    cr_assert(strstr(text, "00:01 of 01:00  steady  1,002/s of 1,000  p50 1.20ms  p99 8.90ms  max "
                           "24.0ms  ok 12,034  enrolled 998 of 1,000  in flight 0  errors 12: "
                           "timeout 9, reset 2, odd?[2J 1\n") == text,
              "%s", text);
}

Test(progress, a_terminal_gets_lines_that_are_drawn_anew_and_taken_away)
{
    struct progress_style style = {.is_terminal = true, .columns = 40};
    struct progress *progress = progress_new(out, &style);
    progress_update(progress, &sample);
    cr_assert(strstr(text, "[####................] ") == text, "%s", text);
    size_t first = strlen(text);
    sample.elapsed += USEC_PER_SEC;
    progress_update(progress, &sample);
    cr_assert(strncmp(text + first, "\033[A\033[2K", 7) == 0);
    size_t second = strlen(text);
    progress_free(progress);
    cr_assert_str_eq(text + second, "\033[A\033[2K\033[A\033[2K\033[A\033[2K\033[A\033[2K");
}

Test(progress, lines_are_cut_to_the_terminal)
{
    struct progress_style style = {.is_terminal = true, .columns = 20};
    struct progress *progress = progress_new(out, &style);
    progress_update(progress, &sample);
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        cr_assert_leq(strchr(line, '\n') - line, 20);
    }
    progress_free(progress);
}

Test(progress, notes_stay_above_the_live_lines)
{
    struct progress_style style = {.is_terminal = true};
    struct progress *progress = progress_new(out, &style);
    progress_update(progress, &sample);
    size_t first = strlen(text);
    progress_note(progress, "phase %s", "two");
    const char *note = strstr(text + first, "phase two\n");
    cr_assert_not_null(note);
    cr_assert_not_null(strstr(note, "steady"));
    progress_free(progress);
}

Test(progress, a_stream_that_is_no_terminal_is_known)
{
    FILE *null = fopen("/dev/null", "we");
    struct progress_style style = progress_style_of(null);
    fclose(null);
    cr_assert(!style.is_terminal && !style.has_color);
}
