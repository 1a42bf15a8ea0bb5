/* SPDX-License-Identifier: Apache-2.0 */
/* One instance with fresh keys, for tests that need no more: fixtures and what all of them do. */
#ifndef PORTICO_TESTS_FRONT_H
#define PORTICO_TESTS_FRONT_H

#include "support/instance.h"
#include "wire/rsa.h"

/* Sanitizers keep freed memory and shadow the rest. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

#define STOP_PATIENCE (5 * USEC_PER_SEC)

struct front {
    struct rsa_key *server;
    struct instance_keys keys;
    struct instance instance;
};

extern struct front front; /* of this test */

/* For .init: made but not started, for tests that set parameters first; or started. */
void front_prepare(void);
void front_start(void);
/* For .fini. */
void front_end(void);

/* It ends in time and well. */
void front_expect_stop(struct instance *instance);

/* The status of a GET on a connection of its own. */
unsigned front_get(const char *path);

/* By how much memory may grow that should grow by `kib` at most. */
uint64_t front_allowed_kib(uint64_t kib);

#endif
