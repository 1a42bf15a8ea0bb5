/* SPDX-License-Identifier: Apache-2.0 */
/* What a run came to: plain values, filled by the engine at the end (and by report_read_json()),
 * read by everything that tells about them. No thread of its own; who fills it owns it. */
#ifndef PORTICO_FLOOD_RESULTS_H
#define PORTICO_FLOOD_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/str.h"
#include "histogram.h"

enum {
    RESULTS_FAILURES_MAX = 96,   /* kinds of failure */
    RESULTS_SECONDS_MAX = 86400, /* of the series; later ones are only in the totals */
    RESULTS_PHASES_MAX = 64,
    RESULTS_EVENTS_MAX = 16 * RESULTS_PHASES_MAX, /* commands that were run at events */
    RESULTS_TEXT = 256,
};

enum better { BETTER_NEITHER, BETTER_FEWER, BETTER_MORE };

struct totals {
#define TOTAL(name, better, words) uint64_t name;
#include "results_totals.def"
#undef TOTAL
};

/* The totals as a table, in the order of the .def file. */
struct total {
    const char *name, *words;
    enum better better;
    size_t offset; /* within struct totals */
};
size_t total_count(void);
const struct total *total_at(size_t index);
const struct total *total_find(struct str name); /* NULL: there is none */
uint64_t total_get(const struct totals *totals, const struct total *total);
void total_set(struct totals *totals, const struct total *total, uint64_t value);

/* One reason for failures, as the engine's table of reasons names it. */
struct failure {
    char name[48];   /* "wrong-nonce": letters, digits, "-" and "_" */
    char words[120]; /* for people */
    uint64_t count;
};

/* A command that was run at an event of the scenario, and what became of it. */
struct event_outcome {
    char event[32]; /* its name */
    char command[RESULTS_TEXT];
    char outcome[RESULTS_TEXT]; /* "ended with status 0" */
    usec_t at;                  /* since the beginning of the run */
    bool is_well;
};

/* One second of the run. */
struct second {
    uint64_t ok, failed;
    usec_t p50, p99, max; /* of the answers of this second, 0: there were none */
    uint64_t in_flight;   /* at its end */
    uint64_t enrolled;    /* agents, at its end */
    uint64_t enrolments;  /* in it */
};

/* One phase of the scenario. */
struct phase_result {
    char name[64];
    bool is_measured; /* its times are among the run's */
    usec_t begin, duration;
    uint64_t ok, failed, enrolled;
    usec_t p50, p99, max, late_p99; /* 0: there was no answer */
    usec_t cpu;                     /* of the generator */
};

/* What was run, where. Texts are cut to fit. */
struct run_description {
    char mode[16]; /* "run" or "raw" */
    char url[RESULTS_TEXT];
    char scenario[RESULTS_TEXT]; /* name or path, empty: none */
    char command_line[2 * RESULTS_TEXT];
    char host[RESULTS_TEXT], kernel[RESULTS_TEXT], cpu[RESULTS_TEXT];
    char version[64], openssl[64]; /* of the generator */
    char identities[RESULTS_TEXT]; /* how keys were made: "shared primes", ... */
    char connections[32];          /* "new", "keep-alive" or "mixed" */
    char slo[RESULTS_TEXT];        /* as it was given, empty: none */
    bool tls;
    unsigned cpus, threads; /* of the machine; of the generator */
    uint64_t agents, seed;
    uint64_t rss_bytes;          /* of the generator, at most */
    usec_t started;              /* wall clock */
    usec_t duration;             /* of the measured part */
    usec_t cpu_user, cpu_system; /* of the generator in that time */
    double rate_wanted;          /* per second, 0: not a fixed rate */
};

/* What the search for capacity came to; the results are then those of its best trial. */
enum { FINDING_TRIALS_MAX = 24 };

struct finding_trial {
    double rate;
    char verdict[16]; /* "met", "missed", "invalid": the generator's fault */
    char why[160];    /* the clause that was not met, or what the generator could not do */
    usec_t p99;
    uint64_t failed;
};

struct finding {
    char outcome[16]; /* "found", "none", "generator", "unsettled"; empty: nothing was searched */
    double rate;      /* highest that was met; 0: none */
    double above;     /* lowest that was not; 0: none */
    char limit[160];  /* why it was not */
    struct finding_trial trials[FINDING_TRIALS_MAX];
    size_t count;
    double best_met; /* rate of the trial whose results these are; 0: it did not meet the SLO */
};

struct results {
    struct run_description run;
    struct finding finding;
    struct totals totals;
    bool ledger_is_checked; /* messages_stored, _lost and _duplicated mean something */

    bool is_valid;
    char invalid_reason[RESULTS_TEXT]; /* one sentence, empty when valid */

    struct failure failures[RESULTS_FAILURES_MAX];
    size_t failure_count;

    struct event_outcome events[RESULTS_EVENTS_MAX];
    size_t event_count;

    struct histogram latency;   /* of answers that were ok, from the planned time */
    struct histogram service;   /* of the same, from the time it was sent */
    struct histogram lateness;  /* of starting, behind the plan */
    struct histogram enrolment; /* from the first poll to the first that was let in */

    struct phase_result phases[RESULTS_PHASES_MAX];
    size_t phase_count; /* 0: it had none */

    struct second *seconds; /* owned */
    size_t second_count, second_room;
};

/* NULL: no memory. Valid, empty. */
struct results *results_new(void);
void results_free(struct results *results);

/* Append a second. Past RESULTS_SECONDS_MAX it is dropped, which is no failure. 0 or -ENOMEM. */
MUST_CHECK int results_add_second(struct results *results, const struct second *second);

/* Add `count` failures of a kind. When there are too many kinds, the last one ("other") takes it.
 */
void results_add_failures(struct results *results, const char *name, const char *words,
                          uint64_t count);

/* Of all kinds; of one (0: it never happened). */
uint64_t results_failed(const struct results *results);
uint64_t results_failures(const struct results *results, struct str name);

/* Whether every command at an event ended well. */
bool results_events_are_well(const struct results *results);

/* Declare the run invalid; the first reason stays. */
PRINTF_LIKE(2, 3) void results_invalidate(struct results *results, const char *format, ...);

/* Answers that were ok, per second of the run or, when it has phases that were not measured, of
 * those that were. */
double results_rate(const struct results *results);

/* What the machine says about itself: host, kernel, cpu, cpus, version, openssl. */
void run_describe_machine(struct run_description *run);

/* Copy a text into an array of it, cut to fit, always terminated. */
#define RUN_TEXT(array, text) run_text((array), sizeof(array), (text))
void run_text(char *out, size_t size, const char *text);

#endif
