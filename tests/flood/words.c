/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as people read them. */
#include "words.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

/* Decimals that leave three digits. */
static int decimals_of(double number)
{
    double size = fabs(number);
    if (size >= 99.95 || size == 0 || !isfinite(size)) {
        return 0;
    }
    return size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3;
}

int words_duration(double microseconds, char *out, size_t size)
{
    if (fabs(microseconds) < 999.5) {
        return snprintf(out, size, "%.0fus", microseconds);
    }
    bool is_long = fabs(microseconds) >= 999.5e3;
    double value = microseconds / (is_long ? 1e6 : 1e3);
    return snprintf(out, size, "%.*f%s", decimals_of(value), value, is_long ? "s" : "ms");
}

int words_bytes(double bytes, char *out, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    while (bytes >= 1023.5 && unit + 1 < sizeof units / sizeof units[0]) {
        bytes /= 1024;
        unit++;
    }
    return snprintf(out, size, "%.*f %s", unit == 0 ? 0 : decimals_of(bytes), bytes, units[unit]);
}

int words_count(uint64_t count, char *out, size_t size)
{
    char digits[24];
    char grouped[32] = "";
    int len = snprintf(digits, sizeof digits, "%" PRIu64, count);
    int used = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            grouped[used++] = ',';
        }
        grouped[used++] = digits[i];
    }
    return snprintf(out, size, "%.*s", used, grouped);
}

int words_number(double number, char *out, size_t size)
{
    if (number >= 999.5 && number < 1e18) {
        return words_count((uint64_t)llround(number), out, size);
    }
    return snprintf(out, size, "%.*f", decimals_of(number), number);
}

int words_span(usec_t span, char *out, size_t size)
{
    int64_t seconds = (span + USEC_PER_SEC / 2) / USEC_PER_SEC;
    if (span < 10 * USEC_PER_SEC) {
        return snprintf(out, size, "%.3gs", (double)span / USEC_PER_SEC);
    }
    if (seconds < 60) {
        return snprintf(out, size, "%" PRId64 "s", seconds);
    }
    if (seconds < 3600) {
        return snprintf(out, size, "%" PRId64 "m %02" PRId64 "s", seconds / 60, seconds % 60);
    }
    return snprintf(out, size, "%" PRId64 "h %02" PRId64 "m", seconds / 3600, seconds / 60 % 60);
}

int words_time(usec_t time, char *out, size_t size)
{
    time_t seconds = (time_t)(time / USEC_PER_SEC);
    struct tm parts;
    char text[WORDS_SIZE];
    if (time <= 0 || gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0) {
        return snprintf(out, size, "unknown");
    }
    return snprintf(out, size, "%s", text);
}
