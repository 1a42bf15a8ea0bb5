/* SPDX-License-Identifier: Apache-2.0 */
/* The page's charts, for report_html.c. */
#ifndef PORTICO_FLOOD_REPORT_PAGE_H
#define PORTICO_FLOOD_REPORT_PAGE_H

#include <stdio.h>

#include "results.h"

/* One <figure> for each chart that there is something for. */
void page_charts(const struct results *results, FILE *out);

/* The style sheet, constant. */
extern const char page_style[];

#endif
