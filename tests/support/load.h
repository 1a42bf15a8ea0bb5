/* SPDX-License-Identifier: Apache-2.0 */
/* Clients in threads that ask and ask, and know a wrong answer when they see one: each request has
 * a number (X-Tag) that its answer must bear. */
#ifndef PORTICO_TESTS_LOAD_H
#define PORTICO_TESTS_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

enum { LOAD_THREADS_MAX = 32, LOAD_STATUSES = 600 };

struct load_plan {
    uint16_t port;
    unsigned threads;
    const char *method;
    const char *path;
    unsigned body_bytes;   /* with POST */
    bool closes;           /* a connection for each request */
    usec_t pause;          /* of each thread between two requests */
    unsigned first_number; /* of requests; each thread has a share of its own behind it */
    uint64_t limit;        /* requests of each thread; 0: until load_stop() */
};

struct load_result {
    uint64_t sent, answered; /* answered: 200 with its own number */
    uint64_t failed;         /* no whole answer */
    uint64_t foreign;        /* another request's answer */
    uint64_t statuses[LOAD_STATUSES];
    usec_t longest; /* from a request's first attempt to connect to its answer */
};

struct load;

struct load *load_start(const struct load_plan *plan);
/* Ends after the requests in hand, frees. */
struct load_result load_stop(struct load *load);
/* Waits until each thread has reached the limit, frees. */
struct load_result load_finish(struct load *load);
/* So far. */
uint64_t load_answered(const struct load *load);

/* Tell a result in one line on standard error. */
void load_tell(const char *what, const struct load_result *result);

#endif
