/* SPDX-License-Identifier: Apache-2.0 */
/* HTML, a piece after the other. */
#include "html.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/utf8.h"

static void append(struct html *html, struct str bytes)
{
    int result = html->failure == 0 ? buffer_append(html->out, bytes) : html->failure;
    html->failure = result;
}

void html_put(struct html *html, const char *markup)
{
    append(html, str_from(markup));
}

void html_printf(struct html *html, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    CHECK(len >= 0 && (size_t)len < sizeof text);
    append(html, str_from(text));
}

/* ---- Text ---- */

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* Bytes at the front that may stand as they are. */
static size_t harmless(struct str text)
{
    unsigned char c = (unsigned char)text.data[0];
    size_t len = utf8_sequence(text);
    if (len == 1) {
        return c >= 0x20 && c < 0x7f && entity((char)c) == NULL ? 1 : 0;
    }
    return len > 0 && !utf8_steers_terminal((const unsigned char *)text.data) ? len : 0;
}

void html_text(struct html *html, struct str text)
{
    while (text.len > 0) {
        size_t len = 0;
        size_t more;
        while (len < text.len && (more = harmless(str_skip(text, len))) > 0) {
            len += more;
        }
        append(html, str_first(text, len));
        text = str_skip(text, len);
        if (text.len > 0) {
            const char *name = entity(text.data[0]);
            if (name != NULL) {
                html_put(html, name);
            } else {
                html_printf(html, "\\x%02x", (unsigned)(unsigned char)text.data[0]);
            }
            text = str_skip(text, 1);
        }
    }
}

/* ---- Numbers ---- */

void html_number(struct html *html, int64_t number)
{
    char digits[24], text[40];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)(number < 0 ? -number : number));
    size_t at = 0;
    if (number < 0) {
        text[at++] = '-';
    }
    for (int i = 0; i < len; i++) {
        text[at++] = digits[i];
        if (i + 1 < len && (len - i - 1) % 3 == 0) {
            text[at++] = ',';
        }
    }
    append(html, str_make(text, at));
}

void html_rate(struct html *html, double per_second)
{
    if (per_second <= 0) {
        html_put(html, "0");
    } else if (per_second < 0.1) {
        html_put(html, "&lt; 0.1");
    } else if (per_second < 9.95) {
        html_printf(html, "%.1f", per_second);
    } else {
        html_number(html, (int64_t)(per_second + 0.5));
    }
}

void html_latency(struct html *html, usec_t duration)
{
    double msec = (double)duration / 1e3;
    if (duration < USEC_PER_MSEC) {
        html_printf(html, "%lld µs", (long long)duration);
    } else if (msec < 999.5) {
        html_printf(html, msec < 9.95 ? "%.1f ms" : "%.0f ms", msec);
    } else if (duration < USEC_PER_MINUTE) {
        html_printf(html, msec < 9950 ? "%.1f s" : "%.0f s", msec / 1e3);
    } else {
        html_age(html, duration);
    }
}

static void put_two(struct html *html, usec_t duration, usec_t unit, const char *name,
                    usec_t smaller, const char *smaller_name)
{
    html_printf(html, "%lld %s", (long long)(duration / unit), name);
    if (duration % unit >= smaller) {
        html_printf(html, " %lld %s", (long long)(duration % unit / smaller), smaller_name);
    }
}

void html_age(struct html *html, usec_t duration)
{
    duration = duration < 0 ? 0 : duration;
    if (duration < USEC_PER_MINUTE) {
        html_printf(html, "%lld s", (long long)(duration / USEC_PER_SEC));
    } else if (duration < USEC_PER_HOUR) {
        html_printf(html, "%lld min", (long long)(duration / USEC_PER_MINUTE));
    } else if (duration < USEC_PER_DAY) {
        put_two(html, duration, USEC_PER_HOUR, "h", USEC_PER_MINUTE, "min");
    } else {
        put_two(html, duration, USEC_PER_DAY, "d", USEC_PER_HOUR, "h");
    }
}
