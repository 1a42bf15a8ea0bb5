/* SPDX-License-Identifier: Apache-2.0 */
/* Scales, ticks, shapes. Coordinates have one decimal: a tenth of a pixel. */
#include "report_svg.h"

#include <math.h>

#include "base/check.h"
#include "base/utf8.h"
#include "words.h"

enum { LEFT = 58, RIGHT = 30, TOP = 22, BOTTOM = 42 };

void html_text(FILE *out, const char *text)
{
    for (struct str rest = str_from(text); rest.len > 0;) {
        size_t len = utf8_sequence(rest);
        unsigned char first = (unsigned char)rest.data[0];
        if (len == 0 || (first < 0x20 && first != '\n')) {
            fputs("\xef\xbf\xbd", out); /* U+FFFD */
        } else if (strchr("<>&\"'", first) != NULL) {
            fprintf(out, "&#%d;", first);
        } else {
            fwrite(rest.data, 1, len, out);
        }
        rest = str_skip(rest, len == 0 ? 1 : len);
    }
}

/* ---- Scales ---- */

/* 0 at the beginning of the axis, 1 at its end; held within. */
static double position(const struct axis *axis, double value)
{
    double way = 0;
    if (axis->is_log) {
        double low = value < axis->from ? axis->from : value;
        way = (log10(low) - log10(axis->from)) / (log10(axis->to) - log10(axis->from));
    } else {
        way = (value - axis->from) / (axis->to - axis->from);
    }
    return way < 0 ? 0 : way > 1 ? 1 : way;
}

static double x_of(const struct chart *chart, double value)
{
    return LEFT + position(&chart->x, value) * (CHART_WIDTH - LEFT - RIGHT);
}

static double y_of(const struct chart *chart, double value)
{
    return CHART_HEIGHT - BOTTOM - position(&chart->y, value) * (CHART_HEIGHT - TOP - BOTTOM);
}

/* 1, 2 or 5 times a power of ten, at or above. */
static double round_step(double step)
{
    double power = pow(10, floor(log10(step)));
    double digit = step / power;
    double rounded = digit <= 1.0001 ? 1 : digit <= 2.0001 ? 2 : digit <= 5.0001 ? 5 : 10;
    return rounded * power;
}

double axis_round_up(double to)
{
    if (!(to > 0)) {
        return 1;
    }
    double step = round_step(to / 5);
    return ceil(to / step - 1e-9) * step;
}

static void add_tick(struct axis *axis, double value)
{
    double slack = (axis->to - axis->from) * 1e-9;
    if (axis->tick_count < TICKS_MAX && value >= axis->from - slack && value <= axis->to + slack) {
        axis->ticks[axis->tick_count++] = value;
    }
}

static void choose_log_ticks(struct axis *axis)
{
    static const double few[] = {1, 2, 5};
    int first = (int)floor(log10(axis->from));
    int last = (int)floor(log10(axis->to) + 1e-9);
    int per_decade = axis->to / axis->from <= 100 ? 3 : 1;
    int step = (last - first) / TICKS_MAX + 1;
    for (int power = first; power <= last; power += step) {
        for (int i = 0; i < per_decade; i++) {
            add_tick(axis, few[i] * pow(10, power));
        }
    }
}

static void choose_ticks(struct axis *axis)
{
    if (axis->tick_count > 0) {
        return;
    }
    if (axis->is_log) {
        choose_log_ticks(axis);
        return;
    }
    double step = round_step((axis->to - axis->from) / 5);
    double first = ceil(axis->from / step) * step;
    for (int i = 0; i < TICKS_MAX; i++) {
        add_tick(axis, first + i * step); /* what lies outside is not taken */
    }
}

/* ---- Frame ---- */

static void put_axes(const struct chart *chart)
{
    char text[64];
    FILE *out = chart->out;
    for (size_t i = 0; i < chart->y.tick_count; i++) {
        double y = y_of(chart, chart->y.ticks[i]);
        chart->y.format(chart->y.ticks[i], text, sizeof text);
        fprintf(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>", LEFT, y, CHART_WIDTH - RIGHT);
        fprintf(out, "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 6,
                y + 4);
        html_text(out, text);
        fputs("</text>\n", out);
    }
    for (size_t i = 0; i < chart->x.tick_count; i++) {
        double x = x_of(chart, chart->x.ticks[i]);
        chart->x.format(chart->x.ticks[i], text, sizeof text);
        bool is_last = x > CHART_WIDTH - 24; /* its text would leave the picture */
        fprintf(out, "<path class=\"axis\" d=\"M%.1f %dv4\"/>", x, CHART_HEIGHT - BOTTOM);
        fprintf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">",
                is_last ? CHART_WIDTH - 2 : x, CHART_HEIGHT - BOTTOM + 17,
                is_last ? "end" : "middle");
        html_text(out, text);
        fputs("</text>\n", out);
    }
    fprintf(out, "<path class=\"axis\" d=\"M%d %dH%d\"/>\n", LEFT, CHART_HEIGHT - BOTTOM,
            CHART_WIDTH - RIGHT);
}

static void put_axis_titles(const struct chart *chart)
{
    fprintf(chart->out, "<text class=\"name\" x=\"%d\" y=\"%d\" text-anchor=\"end\">",
            CHART_WIDTH - 2, CHART_HEIGHT - 6);
    html_text(chart->out, chart->x.title);
    fputs("</text><text class=\"name\" x=\"2\" y=\"11\">", chart->out);
    html_text(chart->out, chart->y.title);
    fputs("</text>\n", chart->out);
}

void chart_begin(struct chart *chart, const char *title, const char *description)
{
    FILE *out = chart->out;
    CHECK(chart->x.to > chart->x.from && chart->y.to > chart->y.from);
    choose_ticks(&chart->x);
    choose_ticks(&chart->y);
    fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"%s-t %s-d\">\n",
            CHART_WIDTH, CHART_HEIGHT, chart->id, chart->id);
    fprintf(out, "<title id=\"%s-t\">", chart->id);
    html_text(out, title);
    fprintf(out, "</title><desc id=\"%s-d\">", chart->id);
    html_text(out, description);
    fputs("</desc>\n", out);
    put_axes(chart);
    put_axis_titles(chart);
}

void chart_end(struct chart *chart)
{
    fputs("</svg>\n", chart->out);
}

/* ---- Shapes ---- */

/* "M1 2L3 4..." over the points; a gap begins anew. */
static void put_path(const struct chart *chart, const struct point *points, size_t count)
{
    bool has_begun = false;
    for (size_t i = 0; i < count; i++) {
        if (isnan(points[i].y)) {
            has_begun = false;
            continue;
        }
        fprintf(chart->out, "%c%.1f %.1f", has_begun ? 'L' : 'M', x_of(chart, points[i].x),
                y_of(chart, points[i].y));
        has_begun = true;
    }
}

/* A single point between gaps is a dot, since a path of one point has no length. */
static void put_dots(const struct chart *chart, const char *style, const struct point *points,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool is_alone = !isnan(points[i].y) && (i == 0 || isnan(points[i - 1].y)) &&
                        (i + 1 == count || isnan(points[i + 1].y));
        if (is_alone) {
            fprintf(chart->out, "<circle class=\"fill %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"2\"/>\n",
                    style, x_of(chart, points[i].x), y_of(chart, points[i].y));
        }
    }
}

void chart_line(const struct chart *chart, const char *style, const struct point *points,
                size_t count)
{
    fprintf(chart->out, "<path class=\"line %s\" d=\"", style);
    put_path(chart, points, count);
    fputs("\"/>\n", chart->out);
    put_dots(chart, style, points, count);
}

void chart_area(const struct chart *chart, const char *style, const struct point *points,
                size_t count)
{
    int floor_y = CHART_HEIGHT - BOTTOM;
    fprintf(chart->out, "<path class=\"area %s\" d=\"", style);
    for (size_t i = 0; i < count;) {
        size_t end = i;
        while (end < count && !isnan(points[end].y)) {
            end++;
        }
        if (end > i) {
            put_path(chart, points + i, end - i);
            fprintf(chart->out, "L%.1f %dL%.1f %dZ", x_of(chart, points[end - 1].x), floor_y,
                    x_of(chart, points[i].x), floor_y);
        }
        i = end + 1;
    }
    fputs("\"/>\n", chart->out);
}

void chart_bar(const struct chart *chart, const char *style, double from, double to, double y)
{
    double left = x_of(chart, from);
    double width = x_of(chart, to) - left;
    double top = fmin(y_of(chart, y), CHART_HEIGHT - BOTTOM - 2); /* seen, however low */
    fprintf(chart->out,
            "<rect class=\"fill %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
            style, left, top, width < 1 ? 1 : width, CHART_HEIGHT - BOTTOM - top);
}

void chart_mark(const struct chart *chart, double x, const char *words, bool is_left)
{
    double at = x_of(chart, x);
    fprintf(chart->out, "<path class=\"mark\" d=\"M%.1f %dV%d\"/>", at, TOP - 14,
            CHART_HEIGHT - BOTTOM);
    fprintf(chart->out, "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">",
            is_left ? at - 4 : at + 4, TOP - 6, is_left ? "end" : "start");
    html_text(chart->out, words);
    fputs("</text>\n", chart->out);
}

int html_duration(double microseconds, char *out, size_t size)
{
    char text[WORDS_SIZE];
    int len = words_duration(microseconds, text, sizeof text);
    if (len < 3 || strcmp(text + len - 2, "us") != 0) {
        return snprintf(out, size, "%s", text);
    }
    return snprintf(out, size, "%.*s\xc2\xb5s", len - 2, text);
}
