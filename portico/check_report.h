/* SPDX-License-Identifier: Apache-2.0 */
/* What `portico check` found: for each thing looked at, how it is, why that matters and what mends
 * it. Findings are kept until the end and told in order of severity. Lives on the stack of
 * command_check.c; one thread. */
#ifndef PORTICO_COMMAND_CHECK_REPORT_H
#define PORTICO_COMMAND_CHECK_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/compiler.h"
#include "base/str.h"

enum finding {
    FINDING_OK,
    FINDING_UNSEEN,  /* it could not be looked at, so nobody knows */
    FINDING_WARNING, /* it serves, but not for long, or not well */
    FINDING_PROBLEM,
};

/* All owned texts. */
struct check_item {
    struct check_item *next;
    enum finding finding;
    char *what, *message, *why, *mend;
};

struct check_report {
    struct check_item *first, **end;
    unsigned counts[FINDING_PROBLEM + 1];
    int relay;                 /* in a process that only looks, where findings go; else -1 */
    char why[512], mend[1024]; /* for the next finding; empty: nothing to say */
};

void check_report_init(struct check_report *report);
void check_report_done(struct check_report *report);

/* Why what is told next matters, where that is not evident. */
PRINTF_LIKE(2, 3) void check_report_why(struct check_report *report, const char *format, ...);
/* The command or change that mends what is told next. */
PRINTF_LIKE(2, 3) void check_report_mend(struct check_report *report, const char *format, ...);
/* `what` is one or two words. A message of several lines is indented. */
PRINTF_LIKE(4, 5)
void check_report_tell(struct check_report *report, enum finding finding, const char *what,
                       const char *format, ...);

/* Findings as another process wrote them to its relay: take those that are whole from `bytes`.
 * How many bytes that were, or -EBADMSG. */
MUST_CHECK long check_report_take(struct check_report *report, struct str bytes);

/* Tell what was found, the worst first; what is fine only to those who want to know. */
void check_report_print(const struct check_report *report, bool is_verbose, FILE *out);
void check_report_print_json(const struct check_report *report, FILE *out);
/* The exit status. */
MUST_CHECK int check_report_status(const struct check_report *report);

#endif
