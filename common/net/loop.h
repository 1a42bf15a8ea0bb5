/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop: descriptors that became ready, deadlines that passed, work that other threads
 * posted. One thread owns a loop; only loop_post(), loop_stop() and task_init() may be called from
 * others.
 *
 * A turn goes: hooks, sleep, read the clock, ready descriptors, deadlines, tasks, frees. Each part
 * is bounded, so none of them starves the others. */
#ifndef PORTICO_NET_LOOP_H
#define PORTICO_NET_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/list.h"
#include "net/timers.h"

struct epoll_event;
struct loop;

/* `clock` is borrowed, the descriptors are the loop's. NULL with words in `error` when the system
 * has no room for another loop. */
struct loop *loop_new(const struct clock *clock, struct error *error);

/* For a loop whose deadlines matter more than its descriptors, before anything is armed: timers go
 * by this `tick` instead of TIMERS_TICK, and those that come due while descriptors are delivered
 * fire between two of these, not behind all of them. They are told the time; loop_now() stays when
 * the descriptors were found ready. 0 or -ENOMEM; then the loop is as before. */
MUST_CHECK int loop_be_punctual(struct loop *loop, usec_t tick);

/* Frees what waits to be freed. Watches, timers and tasks belong to others: they are forgotten,
 * never called. Not from within a turn. NULL is fine. */
void loop_free(struct loop *loop);

/* Turns until loop_stop(). 0, or what epoll failed with. */
MUST_CHECK int loop_run(struct loop *loop);

/* One turn that sleeps at most `longest` (0: only looks; USEC_NEVER: until something happens). */
MUST_CHECK int loop_turn(struct loop *loop, usec_t longest);

/* Have loop_run() return once the turn is done. Said before loop_run(), it does one turn. Any
 * thread, and signal handlers. */
void loop_stop(struct loop *loop);

/* Monotonic time, read once in each turn, after the sleep. */
usec_t loop_now(const struct loop *loop);

/* ---- Descriptors ---- */

enum {
    WATCH_READ = 1,
    WATCH_WRITE = 2,
};

struct watch;

/* `ready` is the part of the interest that a read or write would now get an answer to: bytes, room,
 * end or error. May do anything to any watch, its own included. */
typedef void watch_function(struct watch *watch, unsigned ready);

/* Embedded in what owns the descriptor. */
struct watch {
    int fd;
    unsigned interest; /* WATCH_*; 0: the loop does not know this watch */
    watch_function *ready;
    struct epoll_event *collected; /* its event of this turn, while that waits to be delivered */
};

static inline void watch_init(struct watch *watch, int fd, watch_function *ready)
{
    *watch = (struct watch){.fd = fd, .ready = ready};
}

/* Set what to wait for; the loop is level-triggered. With 0 the watch is stopped: nothing arrives
 * any more, errors neither, and what was collected for it in this turn is forgotten, so the owner
 * may close, start again or free.
 *
 * 0, -ENOMEM or -ENOSPC (the user's limit of watches). Narrowing and stopping do not fail. */
MUST_CHECK int watch_set(struct loop *loop, struct watch *watch, unsigned interest);
void watch_stop(struct loop *loop, struct watch *watch);

/* As watch_stop(), one system call cheaper, for an owner that closes the descriptor at once:
 * closing the only descriptor of a file takes it out of epoll. Not for descriptors that were
 * duplicated, inherited or sent to another process. */
void watch_forget(struct loop *loop, struct watch *watch);

/* Watches with an interest. */
size_t loop_watches(const struct loop *loop);

/* ---- Deadlines ---- */

/* As timers_arm() and timers_disarm(). `deadline` is on the clock of loop_now(). */
void loop_arm(struct loop *loop, struct timer *timer, usec_t deadline);
void loop_disarm(struct loop *loop, struct timer *timer);

/* ---- Work from other threads ---- */

struct task;
typedef void task_function(struct task *task);

/* Embedded in what the work is about; must live until it ran. */
struct task {
    struct task *next;
    task_function *run;
    atomic_bool posted;
};

void task_init(struct task *task, task_function *run);

/* Have the loop's thread run the task, in the order of posting. Many posts wake the loop once. A
 * task that was posted and did not begin to run stays where it is and runs once: it will see all
 * that was written before this call. From its beginning on it may be posted again. True when it
 * was not waiting yet. Any thread. */
bool loop_post(struct loop *loop, struct task *task);

/* ---- The end of a turn ---- */

struct garbage;
typedef void garbage_function(struct garbage *garbage);

/* Embedded, zeroed, in what callers further up may still look at when it is to be freed. */
struct garbage {
    struct garbage *next;
    garbage_function *free; /* NULL: not waiting */
};

/* Call `free` at the end of this turn, when no callback is under way. Stop its watch and timers
 * first. Once for each object. */
void loop_free_later(struct loop *loop, struct garbage *garbage, garbage_function *free);

/* ---- Before the sleep ---- */

struct loop_hook;
typedef void hook_function(struct loop_hook *hook);

/* Runs in each turn before it sleeps: the place to write what was batched. Embedded, zeroed. */
struct loop_hook {
    struct list_link link;
    hook_function *run;
};

void loop_hook_add(struct loop *loop, struct loop_hook *hook);

/* A hook may remove itself, not another one. */
void loop_hook_remove(struct loop *loop, struct loop_hook *hook);

#endif
