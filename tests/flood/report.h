/* SPDX-License-Identifier: Apache-2.0 */
/* Results for machines and for people: JSON with a versioned schema, one HTML page that needs
 * nothing else, a summary for the terminal. docs/flood.md says how to read them. One thread. */
#ifndef PORTICO_FLOOD_REPORT_H
#define PORTICO_FLOOD_REPORT_H

#include <stdio.h>

#include "base/compiler.h"
#include "base/error.h"
#include "results.h"

enum {
    REPORT_SCHEMA = 1,
    REPORT_FILE_MAX_BYTES = 64 << 20,
};

/* Write to a stream; output errors stay in it. 0 or -ENOMEM. */
MUST_CHECK int report_write_json(const struct results *results, FILE *out);

/* The file replaces an older one as a whole or not at all. 0 or why it cannot be written. */
MUST_CHECK int report_save_json(const struct results *results, const char *path,
                                struct error *error);
MUST_CHECK int report_save_html(const struct results *results, const char *path,
                                struct error *error);

/* Read what report_save_json() wrote; unknown keys are ignored, a newer schema is refused.
 * *results is the caller's (results_free()) and untouched on failure.
 * 0, -EINVAL (no report, with the place when it is no JSON), -EFBIG, -ENOMEM or why it cannot be
 * read. */
MUST_CHECK int report_read_json(const char *path, struct results **results, struct error *error);

/* The same from memory; `name` is for messages. */
MUST_CHECK int report_parse_json(struct str text, const char *name, struct results **results,
                                 struct error *error);

void report_write_html(const struct results *results, FILE *out);

/* At the end of a run: counts, quantiles, failures by reason, validity. */
void report_write_text(const struct results *results, FILE *out);

#endif
