/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of test_frontend_vectors.c: one scenario of the recording and the instance that it is
 * played to, in which points it has to end otherwise than recorded, and what it must leave in the
 * store. */
#ifndef PORTICO_TESTS_RECORDED_H
#define PORTICO_TESTS_RECORDED_H

#include "base/arena.h"
#include "store/store.h"
#include "support/instance.h"
#include "support/recording.h"

struct bench {
    struct recording recording;
    struct instance instance;
    struct store *store;
    struct arena arena;
    const char *scenario;
    size_t step;
    usec_t began; /* wall: when the scenario did, or its clock was last moved */
    usec_t started;
    bool is_fine;  /* of the last look at the state */
    bool is_final; /* then a difference is a failure */
};

/* The client that a recorded object is about; NULL: nobody's. */
struct recorded_client *client_of(struct bench *bench, const json_t *object);
struct store_agent_id id_of(const struct recorded_client *client);

/* The expectations of the step `n`. */
json_t *recorded_expectation(const json_t *scenario, size_t n);

/* Change the scenario to what was decided about it. False: it is marked as a quirk that nobody
 * decided. */
bool recorded_adjust(json_t *scenario);

/* Every decision is about exactly one scenario; fails the test otherwise. */
void recorded_check_decisions(const json_t *scenarios);

/* Compare the store with a recorded state (NULL: nothing to compare). What agents send is stored
 * when they are told so, but that they were seen a little later: so the first may wait. */
void recorded_expect_state(struct bench *bench, const json_t *state);
void recorded_expect_final_state(struct bench *bench, const json_t *state);

#endif
