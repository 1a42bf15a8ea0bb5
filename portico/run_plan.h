/* SPDX-License-Identifier: Apache-2.0 */
/* What portico run starts: which programs, with what arguments, on which ports. Made once, before
 * anything runs; a reload does not change it. One thread. */
#ifndef PORTICO_COMMAND_RUN_PLAN_H
#define PORTICO_COMMAND_RUN_PLAN_H

#include <limits.h>
#include <stdint.h>

#include "base/compiler.h"
#include "net/address.h"

struct operation;

enum {
    RUN_FRONTENDS_MAX = 256,
    RUN_NAME_SIZE = 32,
};

struct run_child {
    char name[RUN_NAME_SIZE]; /* "frontend:8080", "balancer" */
    uint16_t port;
    uint16_t metrics_port;  /* 0: none, or the balancer's own matter */
    struct address address; /* where to find a frontend from here */
    char port_text[8], metrics_first[48], metrics_last[48]; /* arguments */
    const char **arguments;                                 /* owned, its texts are not */
};

struct run_plan {
    unsigned frontends;
    struct run_child *children; /* the frontends, then the balancer */
    const char **names;         /* of the children */
    char frontend_program[PATH_MAX], balancer_program[PATH_MAX];
};

/* 0, or an exit status after the user was told why not. run_plan_done() is due in either case. */
MUST_CHECK int run_plan_make(const struct operation *operation, struct run_plan *plan);
void run_plan_done(struct run_plan *plan);

/* Tell for every port that is wanted and not free who has it. 0, or an exit status. */
MUST_CHECK int run_plan_check_ports(const struct operation *operation, const struct run_plan *plan);

#endif
