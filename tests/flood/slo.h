/* SPDX-License-Identifier: Apache-2.0 */
/* What a run must reach: "p99<50ms,errors=0,lost=0,rate>=1000". Clauses are joined by commas and
 * must all hold. Pure, any thread.
 *
 *     clause  = metric ("<" | "<=" | "=" | "!=" | ">=" | ">") number [unit]
 *     metric  = "p50", "p99.9" and so on, "min", "max", "mean"      latency from the planned time
 *             | "late_p99" and so on                                how late requests were sent
 *             | "enrol_p99" and so on                               enrolment
 *             | "rate" | "errors" | "errors.REASON" | "error_rate"
 *             | "lost" | "duplicated" | a name from results_totals.def
 *     unit    = "us" | "ms" | "s" for times, where it is required; "%" for error_rate; k and M */
#ifndef PORTICO_FLOOD_SLO_H
#define PORTICO_FLOOD_SLO_H

#include <stdio.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"
#include "results.h"

enum { SLO_CLAUSES_MAX = 32, SLO_METRIC_MAX = 64 };

enum slo_operator { SLO_LESS, SLO_AT_MOST, SLO_EQUAL, SLO_UNEQUAL, SLO_AT_LEAST, SLO_MORE };

struct slo_clause {
    const struct slo_metric *metric;
    char name[SLO_METRIC_MAX]; /* the metric as written, with quantile or reason */
    double quantile;           /* 0 (min) to 1 (max), -1: the mean; where the metric has one */
    enum slo_operator operator;
    double limit; /* microseconds, per second, a count, a share */
};

struct slo {
    struct slo_clause clauses[SLO_CLAUSES_MAX];
    size_t count;
};

enum slo_verdict {
    SLO_MET,
    SLO_MISSED,
    SLO_UNKNOWN, /* nothing was measured: no answers, or the ledger was not checked */
};

struct slo_outcome {
    enum slo_verdict verdict;
    double actual; /* in the unit of the limit; 0 when unknown */
};

/* 0, or -EINVAL; error->column (from 1) tells where, the message has the clause and a suggestion.
 * `reasons`, ended by NULL, are the names for errors.REASON; NULL: any name goes. */
MUST_CHECK int slo_parse(struct str text, const char *const *reasons, struct slo *slo,
                         struct error *error);

/* One outcome for each clause, may be NULL. The worst verdict of all: MISSED, then UNKNOWN. An
 * invalid run is UNKNOWN in all clauses. No clauses: MET. */
enum slo_verdict slo_evaluate(const struct slo *slo, const struct results *results,
                              struct slo_outcome *outcomes);

/* A line for each clause: "met     p99 < 50ms        12.4ms". */
void slo_print(const struct slo *slo, const struct slo_outcome *outcomes, FILE *out);

/* As snprintf(): the clause, or what was measured, as a person would write it. */
int slo_clause_format(const struct slo_clause *clause, char *out, size_t size);
int slo_actual_format(const struct slo_clause *clause, const struct slo_outcome *outcome, char *out,
                      size_t size);

/* "met", "missed", "unknown" */
const char *slo_verdict_words(enum slo_verdict verdict);

#endif
