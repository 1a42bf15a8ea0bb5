/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as people read them; all as snprintf(). Pure, any thread. */
#ifndef PORTICO_FLOOD_WORDS_H
#define PORTICO_FLOOD_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

enum { WORDS_SIZE = 48 };

/* Three digits that count, and a unit: "12.4ms", "830us", "2.5s". */
int words_duration(double microseconds, char *out, size_t size);

/* "1.5 GiB" */
int words_bytes(double bytes, char *out, size_t size);

/* Thousands apart: "1,234,567". */
int words_count(uint64_t count, char *out, size_t size);

/* Three digits that count, at least the whole ones: "0.125", "12.3", "12,345". */
int words_number(double number, char *out, size_t size);

/* "10s", "1m 30s", "2h 5m" */
int words_span(usec_t span, char *out, size_t size);

/* "2026-05-01 12:34:56 UTC" */
int words_time(usec_t time, char *out, size_t size);

#endif
