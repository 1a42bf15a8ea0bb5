/* SPDX-License-Identifier: Apache-2.0 */
/* The raw messages of tests/data/http1_cases.jsonl, good and evil. */
#ifndef PORTICO_TESTS_RAW_CASES_H
#define PORTICO_TESTS_RAW_CASES_H

#include "base/str.h"

struct raw_case {
    char id[8];
    char side[16];  /* who sends it: "client", "backend", "frontend" */
    struct str raw; /* no data: the case is not about bytes */
    char *required;
};

/* Call `visit` for each case of a side (NULL: of all), in the file's order; how many there were.
 * The case lives during the call. Aborts when the file is not there. */
unsigned raw_cases_visit(const char *side, void (*visit)(const struct raw_case *c, void *context),
                         void *context);

#endif
