/* SPDX-License-Identifier: Apache-2.0 */
/* What `portico check` found, told as it is found: for each thing looked at, how it is and what
 * mends it. Lives on the stack of command_check.c; one thread. */
#ifndef PORTICO_COMMAND_CHECK_REPORT_H
#define PORTICO_COMMAND_CHECK_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/compiler.h"
#include "json_write.h"

enum finding { FINDING_OK, FINDING_WARNING, FINDING_ERROR };

struct check_report {
    FILE *out;
    bool is_json;
    struct json_writer json;
    unsigned counts[FINDING_ERROR + 1];
    char mend[1024]; /* for the next finding; empty: nothing to be done */
};

void check_report_begin(struct check_report *report, FILE *out, bool is_json);
/* The command or change that mends what is told next. */
PRINTF_LIKE(2, 3) void check_report_mend(struct check_report *report, const char *format, ...);
/* `what` is a literal. A message of several lines is indented. */
PRINTF_LIKE(4, 5)
void check_report_tell(struct check_report *report, enum finding finding, const char *what,
                       const char *format, ...);
/* The exit status. */
MUST_CHECK int check_report_end(struct check_report *report);

struct config;
struct operation;

/* The checks, each in the file that is named after it. */
void check_keys(struct check_report *report, const struct config *config);         /* files */
void check_permissions(struct check_report *report, const struct config *config);  /* files */
void check_directories(struct check_report *report, const struct config *config);  /* files */
void check_store_health(struct check_report *report, const struct config *config); /* files */
void check_ports(struct check_report *report, const struct config *config);        /* ports */
void check_file_limit(struct check_report *report, const struct config *config);   /* machine */
void check_clock(struct check_report *report);                                     /* machine */

#endif
