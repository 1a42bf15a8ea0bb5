/* SPDX-License-Identifier: Apache-2.0 */
/* One writer at a time, first come, first served, over all threads and processes that share a
 * store, and nobody waits for ever. The database's own lock is taken by whoever asks at the right
 * moment, so that under load somebody may wait for ages; this one has a queue.
 *
 * Threads of a process stand in a list. Processes stand at a turnstile: two locks on one file, of
 * which the first is held only while waiting for the second. Who has just finished finds the
 * turnstile taken by the next in line and queues up behind the others. The kernel drops the locks
 * of a process that dies; one that is stopped (SIGSTOP) while it writes keeps them, so every wait
 * has a deadline.
 *
 * The kernel's wait for a lock has none. So when another process is in the way, a thread of ours,
 * the usher, waits for it, and who wants to write waits for the usher. When the writer's patience
 * ends the usher stays in the queue of processes: the next writer finds its place kept. */
#ifndef PORTICO_STORE_SQLITE_LOCK_H
#define PORTICO_STORE_SQLITE_LOCK_H

#include <pthread.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/list.h"

struct error;

struct sqlite_ticket {
    struct list_link link;
    pthread_cond_t called;
    bool is_served;
};
LIST_DECLARE(sqlite_tickets, struct sqlite_ticket, link);

enum sqlite_usher {
    USHER_IDLE,    /* nobody wants the lock, or somebody has it */
    USHER_ASKED,   /* waits for the other processes, or is about to */
    USHER_GRANTED, /* this process has the lock, or `usher_result` says why not */
};

struct sqlite_lock {
    int fd;                /* owned; -1 until opened */
    pthread_mutex_t mutex; /* for everything below */
    bool is_taken;         /* by a thread of this process */
    struct sqlite_tickets waiting;

    pthread_t usher;
    bool has_usher;
    bool usher_ends;
    bool is_wanted; /* somebody waits for the usher: else what it gets is given back */
    enum sqlite_usher state;
    int usher_result;
    usec_t asked; /* monotonic */
    pthread_cond_t usher_called;
    pthread_cond_t usher_back;
};

void sqlite_lock_init(struct sqlite_lock *lock);
/* Ends the usher, whatever it waits for. */
void sqlite_lock_done(struct sqlite_lock *lock);

/* Wait for this thread's turn within the process until `deadline` (monotonic). 0 or -EBUSY. */
MUST_CHECK int sqlite_lock_enter(struct sqlite_lock *lock, usec_t deadline, struct error *error);
void sqlite_lock_leave(struct sqlite_lock *lock);

/* The file is created 0600 when missing. By the thread whose turn it is, as the two below. 0, or
 * the error of open(). */
MUST_CHECK int sqlite_lock_open(struct sqlite_lock *lock, const char *path, struct error *error);

/* Wait for this process's turn until `deadline`. Once another process has been in the way for
 * longer than `patience`, only shortly: there is no use in making everybody wait as long. The file
 * must be open. 0, -EBUSY, -EAGAIN (no thread) or the error of fcntl(). */
MUST_CHECK int sqlite_lock_acquire(struct sqlite_lock *lock, usec_t deadline, usec_t patience,
                                   struct error *error);
void sqlite_lock_release(struct sqlite_lock *lock);

#endif
