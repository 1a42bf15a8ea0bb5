/* SPDX-License-Identifier: Apache-2.0 */
/* Writing HTML into a buffer: markup as it stands, and text that cannot become markup. What is lost
 * for want of room or memory is remembered. A plain value; one thread at a time. */
#ifndef PORTICO_BALANCER_HTML_H
#define PORTICO_BALANCER_HTML_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/compiler.h"

struct html {
    struct buffer *out; /* borrowed */
    int failure;        /* what an append failed with; 0: nothing was lost */
};

/* Markup: literals only. */
void html_put(struct html *html, const char *markup);
/* Markup whose arguments are numbers and literals. */
PRINTF_LIKE(2, 3) void html_printf(struct html *html, const char *format, ...);

/* Any bytes: what HTML would obey is escaped; controls, marks of direction and bytes that are no
 * UTF-8 are shown as \xNN. Safe between tags and in quoted attributes. */
void html_text(struct html *html, struct str text);

/* For people: "12,345"; "0.4" or "12,345" ("0" when it is nothing); "1.2 ms"; "3 h 20 min". */
void html_number(struct html *html, int64_t number);
void html_rate(struct html *html, double per_second);
void html_latency(struct html *html, usec_t duration);
void html_age(struct html *html, usec_t duration);

#endif
