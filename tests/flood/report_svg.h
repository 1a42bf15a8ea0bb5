/* SPDX-License-Identifier: Apache-2.0 */
/* Charts as inline SVG: two axes, lines, areas and bars. Colours are classes, which the page's
 * style sheet fills in for light and dark. For report_html.c; one thread. */
#ifndef PORTICO_FLOOD_REPORT_SVG_H
#define PORTICO_FLOOD_REPORT_SVG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { CHART_WIDTH = 440, CHART_HEIGHT = 250, TICKS_MAX = 12 };

struct point {
    double x, y; /* y NaN: a gap */
};

struct axis {
    double from, to;
    bool is_log;                                         /* then `from` is above 0 */
    int (*format)(double value, char *out, size_t size); /* as snprintf() */
    double ticks[TICKS_MAX];
    size_t tick_count; /* 0: chosen by chart_begin() */
    const char *title; /* borrowed */
};

struct chart {
    FILE *out;
    struct axis x, y;
    const char *id; /* a word, another for each chart of the page */
};

/* `title` and `description` are read to those who do not see it. */
void chart_begin(struct chart *chart, const char *title, const char *description);
void chart_end(struct chart *chart);

/* `style` is a class: "s1" and so on. */
void chart_line(const struct chart *chart, const char *style, const struct point *points,
                size_t count);
/* Filled down to the x axis. */
void chart_area(const struct chart *chart, const char *style, const struct point *points,
                size_t count);
void chart_bar(const struct chart *chart, const char *style, double from, double to, double y);
/* A vertical line with words at its top, left or right of it. */
void chart_mark(const struct chart *chart, double x, const char *words, bool is_left);

/* The axis ends at a round number at or above `to`; linear. */
double axis_round_up(double to);

/* As words_duration(), with a true mu. */
int html_duration(double microseconds, char *out, size_t size);

/* Text that cannot leave its place in HTML. */
void html_text(FILE *out, const char *text);

#endif
