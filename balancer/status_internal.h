/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the status page share: status_page.c (the page and its policy),
 * status_verdict.c, status_tiles.c, status_members.c, status_refused.c. The control thread. */
#ifndef PORTICO_BALANCER_STATUS_INTERNAL_H
#define PORTICO_BALANCER_STATUS_INTERNAL_H

#include "admin_call.h"
#include "history.h"
#include "html.h"

enum { STATUS_ERRORS_SHOWN = 8 };

/* One page being written. */
struct status_view {
    struct html html;
    struct admin_call *call; /* with what the workers told */
    struct balancer *balancer;
    const struct history *history;
    usec_t now;
};

/* A port of the range that nobody has is no news, unless somebody had it within the hour. */
bool status_is_of_interest(const struct status_view *view, const struct member *member);

/* "for 3 min", or nothing while it is as it was at the start. */
void status_put_since(struct status_view *view, const struct member *member);
/* "12:03:07", in UTC. */
void status_put_time(struct status_view *view, usec_t wall, bool with_date);
/* A cell of a table. */
void status_put_cell(struct status_view *view, int64_t number);
/* A duration that was read from buckets. */
void status_put_latency(struct status_view *view, usec_t quantile);
void status_put_quantile(struct status_view *view, const uint64_t counts[METRIC_BUCKET_COUNT],
                         double quantile);

/* What stands at the places of status/page.html. */
void status_write_title(struct status_view *view);
void status_write_clock(struct status_view *view);
void status_write_verdict(struct status_view *view);
void status_write_facts(struct status_view *view);
void status_write_tiles(struct status_view *view);
void status_write_members(struct status_view *view);
void status_write_absent(struct status_view *view);
void status_write_phases(struct status_view *view);
void status_write_numbers(struct status_view *view);
void status_write_reasons(struct status_view *view);
void status_write_errors(struct status_view *view);
void status_write_commands(struct status_view *view);

#endif
