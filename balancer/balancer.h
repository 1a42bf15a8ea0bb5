/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that runs: workers, members, log, and the control thread's loop on which they are
 * started, reloaded, drained and asked. The control thread, unless a function says otherwise. */
#ifndef PORTICO_BALANCER_BALANCER_H
#define PORTICO_BALANCER_BALANCER_H

#include <stdbool.h>
#include <stddef.h>

#include "accesslog.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/list.h"
#include "config/config.h"
#include "counters.h"
#include "net/loop.h"
#include "range.h"
#include "worker.h"

struct balancer;
struct command_line;

/* Everything made and listening, nothing running. `line` is borrowed for reloads, `config` is that
 * of the start. NULL with words. */
struct balancer *balancer_new(const struct command_line *line, struct config *config,
                              struct error *error);
void balancer_free(struct balancer *balancer);

/* Serve until told to stop and drained. Signals: SIGHUP reloads, SIGUSR1 reopens the access log,
 * SIGTERM and SIGINT drain, the second one ends at once; they must be blocked in all threads. 0, or
 * a negative errno with words when it could not begin. */
MUST_CHECK int balancer_run(struct balancer *balancer, struct error *error);

/* ---- For the administration ---- */

struct loop *balancer_loop(struct balancer *balancer);
struct counters *balancer_counters(struct balancer *balancer);
struct range *balancer_range(struct balancer *balancer); /* borrowed until the next turn */
const struct config *balancer_config(const struct balancer *balancer); /* the same */
unsigned balancer_workers(const struct balancer *balancer);
usec_t balancer_uptime(const struct balancer *balancer);
bool balancer_is_stopping(const struct balancer *balancer);

/* The last reload; `wall` 0: there was none. */
struct balancer_reloaded {
    usec_t wall; /* microseconds since the epoch */
    int code;    /* 0 or a negative errno: nothing was changed */
    char words[256];
};
const struct balancer_reloaded *balancer_reloaded(const struct balancer *balancer);

/* Bring the gauges of members' states up to date. */
void balancer_show_members(struct balancer *balancer);

/* Set what the administrator wants of every member at `port` (of `host` only, unless that is
 * empty). How many members that were. */
size_t balancer_wish(struct balancer *balancer, struct str host, uint16_t port, enum wish wish);

/* Read the configuration again: prepare everything, then commit. 0, or a negative errno: nothing
 * changed, *error says the first reason and the log says all. */
MUST_CHECK int balancer_reload(struct balancer *balancer, struct error *error);

/* Begin to drain; main ends when that is done. */
void balancer_stop(struct balancer *balancer);

/* Have each worker call `visit` on its own thread, one after the other, and then `done` on the
 * control thread. The question is the caller's until `done`, which may free it. Workers that are
 * ended meanwhile are left out. */
struct question {
    void (*visit)(struct worker *worker, struct question *question);
    void (*done)(struct question *question);
    /* The balancer's own. */
    struct list_link link;
    struct task task;
    struct balancer *balancer;
    unsigned next;
};
void balancer_ask(struct balancer *balancer, struct question *question);

#endif
