/* SPDX-License-Identifier: Apache-2.0 */
/* One writer at a time, first come, first served, over all threads and processes that share a
 * store. The database's own lock is taken by whoever asks at the right moment, so that under load
 * somebody may wait for ages; this one has a queue.
 *
 * Threads of a process draw numbers. Processes stand at a turnstile: two locks on one file, of
 * which the first is held only while waiting for the second. Who has just finished finds the
 * turnstile taken by the next in line and queues up behind the others. The kernel drops the locks
 * of a process that dies. A process that is stopped (SIGSTOP) while it writes stops all writers. */
#ifndef PORTICO_STORE_SQLITE_LOCK_H
#define PORTICO_STORE_SQLITE_LOCK_H

#include <pthread.h>
#include <stdint.h>

#include "base/compiler.h"

struct error;

struct sqlite_lock {
    pthread_mutex_t mutex;
    pthread_cond_t turn;
    uint64_t next;    /* number for the next thread that comes */
    uint64_t serving; /* number of the thread that may go */
    int fd;           /* owned; -1 until opened */
};

void sqlite_lock_init(struct sqlite_lock *lock);
void sqlite_lock_done(struct sqlite_lock *lock);

/* Wait for this thread's turn within the process. */
void sqlite_lock_enter(struct sqlite_lock *lock);
void sqlite_lock_leave(struct sqlite_lock *lock);

/* The file is created 0600 when missing. By the thread whose turn it is, as the two below. 0, or
 * the error of open(). */
MUST_CHECK int sqlite_lock_open(struct sqlite_lock *lock, const char *path, struct error *error);

/* Wait for this process's turn. The file must be open. 0 or the error of fcntl(). */
MUST_CHECK int sqlite_lock_acquire(struct sqlite_lock *lock, struct error *error);
void sqlite_lock_release(struct sqlite_lock *lock);

#endif
