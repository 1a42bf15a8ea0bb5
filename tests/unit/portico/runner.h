/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the real program and keeps what it said; a site in a temporary directory with a store. */
#ifndef PORTICO_TESTS_RUNNER_H
#define PORTICO_TESTS_RUNNER_H

#include <jansson.h>

#include "base/error.h"
#include "store/store.h"

struct run {
    int status;      /* exit status; 128 + signal */
    char *out, *err; /* NUL-terminated, owned */
};

/* `arguments` ends with NULL and begins behind the program's name. Aborts when it cannot be run. */
struct run run_portico(const char *const *arguments);
void run_done(struct run *run);

#define PORTICO(...) run_portico((const char *const[]){__VA_ARGS__, NULL})
#define RUN __attribute__((cleanup(run_done), unused)) struct run

/* The output as an array; the test fails when it is none. json_decref() it. */
json_t *run_array(const struct run *run);

/* The value of a key of the object at `index`; borrowed, NULL when there is none. */
json_t *run_member(const json_t *array, size_t index, const char *key);

/* The object at `index` has exactly or at least these keys, separated by spaces. */
void expect_keys(const json_t *array, size_t index, const char *keys);

/* The suite's site: a directory, "Datastore.location=DIR/store" for -p, and an empty store that is
 * made by site_open_store(). */
struct site {
    char *directory;
    char parameter[512];
    char location[256];
    struct store *store;
    struct error error;
    struct store_agent_id agent; /* of site_set_up_with_agent() */
};

extern struct site site;

void site_set_up(void);
/* With an open store and agent number 1 in it. */
void site_set_up_with_agent(void);
void site_tear_down(void);
void site_open_store(void);
void site_close_store(void);

/* Agent number `n`, enrolled. */
struct store_agent_id site_agent(uint64_t n, enum store_agent_state state);

/* portico -p Datastore.location=... ARGUMENTS */
#define SITE(...) PORTICO("-p", site.parameter, __VA_ARGS__)

#endif
