/* SPDX-License-Identifier: Apache-2.0 */
/* A scenario: phases after each other, in each the agents in groups that behave alike. Read from
 * small YAML files; conf/flood/ holds those that are shipped and docs/flood.md says what each key
 * means. Immutable once read; any thread. */
#ifndef PORTICO_FLOOD_SCENARIO_H
#define PORTICO_FLOOD_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "config/problem.h"
#include "config/source.h"

enum {
    SCENARIO_PHASES_MAX = 64,
    SCENARIO_GROUPS_MAX = 16, /* of a phase */
    SCENARIO_SIZES_MAX = 32,  /* of a group */
};
#define SCENARIO_MESSAGE_MAX_BYTES ((uint64_t)40 << 20)

/* When the agents of a group poll. */
enum timing {
    TIMING_DEFAULT, /* as the command line says; `curve` means nothing */
    TIMING_AGENT,   /* as real agents do: poll_min, poll_max, slew, fast polls, back-off */
    TIMING_PERIOD,  /* each agent every so often */
    TIMING_RATE,    /* so many polls a second in all, agents in turn */
};

/* A quantity that goes in a straight line from the begin of the phase to its end. */
struct curve {
    double from, to;
    bool is_relative; /* shares of the command line's --rate (RATE) or --period (PERIOD) */
};

struct size_weight {
    uint64_t bytes;
    double share; /* 0 to 1; those of a group add up to 1 */
};

enum connections {
    CONNECTIONS_DEFAULT, /* as the command line says */
    CONNECTIONS_NEW,     /* one for each poll, as real agents do */
    CONNECTIONS_KEEP_ALIVE,
};

struct scenario_group {
    const char *name; /* never NULL; "all" when it was given none */
    double share;     /* of the agents, 0 to 1; of a phase they add up to at most 1, others idle */
    enum timing timing;
    struct curve curve; /* PERIOD: microseconds; RATE: polls per second of the whole group; or
                           shares of what the command line says */
    struct {
        usec_t min, max;
        double slew;
    } poll; /* AGENT */
    enum connections connections;
    double messages_per_poll; /* on average; 0: empty polls */
    struct size_weight sizes[SCENARIO_SIZES_MAX];
    size_t size_count;         /* at least 1 */
    uint64_t bytes_per_second; /* what an agent's line carries, each way; 0: all it can */
    bool is_fresh; /* new identities that must enrol, at their first poll in the phase */
};

enum phase_start {
    START_SPREAD,   /* first polls are spread evenly over the first period, or go by the rate */
    START_TOGETHER, /* every agent's first poll is due at the beginning of the phase */
};

enum scenario_event {
    EVENT_NONE,
#define EVENT(identifier, name, words) EVENT_##identifier,
#include "scenario_events.def"
#undef EVENT
};

struct scenario_phase {
    const char *name; /* never NULL */
    usec_t duration;
    bool is_unmeasured; /* its times are not among the run's, as of a warm-up */
    bool is_outage;     /* nobody polls, connections are closed; groups are those of nobody: 0 */
    enum phase_start start;
    enum scenario_event event; /* at its beginning */
    struct scenario_group *groups;
    size_t group_count;
};

struct scenario {
    const char *name;  /* without directories and ".yaml" */
    const char *path;  /* as it was opened */
    const char *about; /* one or two sentences, never NULL */
    struct scenario_phase *phases;
    size_t phase_count; /* at least 1 */
    usec_t duration;    /* of all */
};

/* Find and read `name`: with a "/" or an ending ".yaml" a path, else the name of a shipped one,
 * looked for in scenario_directories(). Everything that is wrong goes to `problems`, with places
 * and hints; a name that does not exist gets the names that do.
 * 0, -EINVAL (told in `problems`) or -ENOMEM. *scenario is the caller's (scenario_free()). */
MUST_CHECK int scenario_load(const char *name, struct problems *problems,
                             struct scenario **scenario);

/* From memory; `text` and `name` need only last as long as the call. */
MUST_CHECK int scenario_parse(struct str text, const char *name, struct problems *problems,
                              struct scenario **scenario);

/* The problems die before or after, as you like; NULL is fine. */
void scenario_free(struct scenario *scenario);

/* Let all phases last `duration` in all, each its share of it; for --duration. At least 1 ms each.
 * Before anyone else sees the scenario. */
void scenario_stretch(struct scenario *scenario, usec_t duration);

/* The phase at `elapsed` from the beginning, NULL: it is over; *begin: when it begins. */
const struct scenario_phase *scenario_phase_at(const struct scenario *scenario, usec_t elapsed,
                                               usec_t *begin);

/* The curve's value `elapsed` into a phase of `duration`; relative ones times `base`. */
double curve_at(const struct curve *curve, usec_t elapsed, usec_t duration, double base);

/* Size of a message by a number drawn evenly from [0, 1). */
uint64_t scenario_group_size(const struct scenario_group *group, double draw);

/* "rolling-restart"; what a person should do. NULL for NONE. */
const char *scenario_event_name(enum scenario_event event);
const char *scenario_event_words(enum scenario_event event);
enum scenario_event scenario_event_find(struct str name); /* NONE: there is none */

/* For --help: name and first line of `about` of the shipped ones. */
void scenario_list(FILE *out);

/* Where shipped scenarios are looked for, ended by NULL: $PORTICO_FLOOD_SCENARIOS, beside the
 * program (../share/portico/flood), the source tree it was built from, the place it is installed
 * to. The texts live as long as the program; the first call is not thread-safe. */
const char *const *scenario_directories(void);

#endif
