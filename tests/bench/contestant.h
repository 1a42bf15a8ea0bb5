/* SPDX-License-Identifier: Apache-2.0 */
/* Servers to be measured: real portico-frontends with keys, configuration and store of their own,
 * and libmicrohttpd answering the same bytes with no work at all. Each is a process of its own,
 * ended by its pid. Failures abort. One thread. */
#ifndef PORTICO_BENCH_CONTESTANT_H
#define PORTICO_BENCH_CONTESTANT_H

#include <stdint.h>
#include <sys/types.h>

#include "net/address.h"
#include "support/instance.h"

struct contestant {
    struct instance instance; /* of a frontend */
    pid_t pid;
    struct address address;
    struct address metrics; /* of a frontend */
};

struct contestant_wish {
    const char *binary; /* NULL: the one that was built with the benchmark */
    const struct instance_keys *keys;
    const char *const *parameters; /* "Key=value", ends with NULL; or NULL */
};

/* A frontend as a site would have it, but with one thread for connections and no log. First
 * prepared, so that its store can be filled, then started. */
void contestant_prepare(struct contestant *contestant, const struct contestant_wish *wish);
void contestant_start(struct contestant *contestant);

/* libmicrohttpd, set up as the frontend sets it up. */
void contestant_start_bare(struct contestant *contestant);

/* End it, and remove what it left. */
void contestant_end(struct contestant *contestant);

/* Microseconds of CPU so far, all threads, in the kernel too. */
double contestant_cpu(const struct contestant *contestant);

/* A number that a frontend exports. */
uint64_t contestant_metric(const struct contestant *contestant, const char *name);

#endif
