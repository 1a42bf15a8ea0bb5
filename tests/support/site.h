/* SPDX-License-Identifier: Apache-2.0 */
/* All of a machine: the real `portico run` with frontends and the balancer, in a directory of its
 * own, on ports that were free. It is ended by its pid, at the latest by the kernel when the test
 * ends. Failures of the surroundings abort: a test cannot go on. */
#ifndef PORTICO_TESTS_SITE_H
#define PORTICO_TESTS_SITE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "support/instance.h"

enum {
    SITE_FRONTENDS = 3,
    SITE_CHILDREN = SITE_FRONTENDS + 1, /* and the balancer, which is the last */
    SITE_PARAMETERS = 16,
    SITE_PARAMETER_SIZE = 128,
};

/* Sanitizers make starting slow, and so do other tests beside this one. */
#define SITE_PATIENCE (60 * USEC_PER_SEC)

struct site {
    struct instance place; /* directory, configuration and log; it is not started itself */
    struct instance_keys keys;
    struct rsa_key *server_key;
    uint16_t first_port; /* of the frontends; the balancer's is behind the last of them */
    pid_t supervisor;    /* 0: it does not run */
    char parameters[SITE_PARAMETERS][SITE_PARAMETER_SIZE]; /* "Key=value" */
    unsigned parameter_count;
};

/* Keys, configuration and ports; nothing runs yet. */
void site_init(struct site *site);
/* Ends it at once if need be, and removes the directory. */
void site_done(struct site *site);

/* -p, from the next start on. */
PRINTF_LIKE(2, 3) void site_set(struct site *site, const char *format, ...);

/* Run `arguments`, which begin with the program, with the site's log as output. */
void site_run(struct site *site, const char *const *arguments);
/* portico run; then wait until all serve. */
void site_launch(struct site *site);
void site_start(struct site *site);

uint16_t site_balancer_port(const struct site *site);

/* Whether `words` stand in what was said so far; wait for it, and abort with all that was said when
 * they do not come. */
bool site_has_said(const struct site *site, const char *words);
void site_wait_until_said(const struct site *site, const char *words);

/* Wait for its end: the exit status, 128 + signal, or -1: not in time. */
int site_wait(struct site *site, usec_t patience);

/* The process of a child; 0: there is none. */
pid_t site_child(const struct site *site, unsigned child);
/* Kill -9 a child that runs. */
void site_kill(const struct site *site, unsigned child);

/* Whether a port can be listened at: the socket, which is the caller's, or -1. */
int site_hold_port(uint16_t port);

#endif
