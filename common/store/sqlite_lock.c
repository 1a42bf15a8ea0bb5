/* SPDX-License-Identifier: Apache-2.0 */
/* Open file description locks: they belong to the opened file, not to the process or thread, and
 * end with it. Byte 0 is the turnstile, byte 1 the right to write. */
#include "store/sqlite_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"

enum { TURNSTILE = 0, WRITER = 1 };

/* How long one waits for a process that has been in the way for too long already. */
static const usec_t short_patience = 50 * USEC_PER_MSEC;

static usec_t now(void)
{
    return clock_monotonic(&clock_system);
}

static void init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* With the mutex held. False: the deadline has passed. */
static bool wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, usec_t deadline)
{
    struct timespec until = {deadline / USEC_PER_SEC, deadline % USEC_PER_SEC * 1000};
    return pthread_cond_timedwait(cond, mutex, &until) != ETIMEDOUT;
}

void sqlite_lock_init(struct sqlite_lock *lock)
{
    *lock = (struct sqlite_lock){.fd = -1};
    pthread_mutex_init(&lock->mutex, NULL);
    sqlite_tickets_init(&lock->waiting);
    init_cond(&lock->usher_called);
    init_cond(&lock->usher_back);
}

/* ---- threads of this process ---- */

int sqlite_lock_enter(struct sqlite_lock *lock, usec_t deadline, struct error *error)
{
    pthread_mutex_lock(&lock->mutex);
    bool is_mine = !lock->is_taken;
    if (is_mine) {
        lock->is_taken = true;
    } else {
        struct sqlite_ticket ticket = {.is_served = false};
        init_cond(&ticket.called);
        sqlite_tickets_push_back(&lock->waiting, &ticket);
        while (!ticket.is_served && wait_until(&ticket.called, &lock->mutex, deadline)) {
        }
        is_mine = ticket.is_served;
        if (!is_mine) {
            sqlite_tickets_remove(&lock->waiting, &ticket);
        }
        pthread_cond_destroy(&ticket.called);
    }
    pthread_mutex_unlock(&lock->mutex);
    return is_mine ? 0
                   : error_set(error, -EBUSY,
                               "others of this process have been writing for "
                               "longer than Datastore.busy_timeout");
}

void sqlite_lock_leave(struct sqlite_lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
    CHECK(lock->is_taken);
    struct sqlite_ticket *next = sqlite_tickets_pop_front(&lock->waiting);
    if (next == NULL) {
        lock->is_taken = false;
    } else {
        /* Handed over: nobody who comes now gets in between. */
        next->is_served = true;
        pthread_cond_signal(&next->called);
    }
    pthread_mutex_unlock(&lock->mutex);
}

/* ---- the file ---- */

static int change(const struct sqlite_lock *lock, int command, off_t byte, short type)
{
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int r;
    do {
        r = fcntl(lock->fd, command, &range);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

static void release(const struct sqlite_lock *lock, off_t byte)
{
    (void)change(lock, F_OFD_SETLK, byte, F_UNLCK);
}

/* In the order that keeps the queue: whoever has the turnstile is the next to write. */
static int take(const struct sqlite_lock *lock, int command)
{
    int r = change(lock, command, TURNSTILE, F_WRLCK);
    if (r == 0) {
        r = change(lock, command, WRITER, F_WRLCK);
        release(lock, TURNSTILE);
    }
    return r;
}

/* ---- the usher ---- */

/* With the mutex held. What nobody waits for any more is given back, or all others would wait. */
static void come_back(struct sqlite_lock *lock, int result)
{
    if (lock->is_wanted) {
        lock->usher_result = result;
        lock->state = USHER_GRANTED;
        pthread_cond_signal(&lock->usher_back);
        return;
    }
    if (result == 0) {
        release(lock, WRITER);
    }
    lock->state = USHER_IDLE;
}

static void *run_usher(void *context)
{
    struct sqlite_lock *lock = context;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_mutex_lock(&lock->mutex);
    while (!lock->usher_ends) {
        if (lock->state != USHER_ASKED) {
            pthread_cond_wait(&lock->usher_called, &lock->mutex);
            continue;
        }
        pthread_mutex_unlock(&lock->mutex);
        /* The one place where it can be cancelled: fcntl(F_OFD_SETLKW) waits, for others. */
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        int r = take(lock, F_OFD_SETLKW);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        pthread_mutex_lock(&lock->mutex);
        come_back(lock, r);
    }
    pthread_mutex_unlock(&lock->mutex);
    return NULL;
}

/* With the mutex held. */
static int call_usher(struct sqlite_lock *lock)
{
    if (!lock->has_usher) {
        int r = -pthread_create(&lock->usher, NULL, run_usher, lock);
        if (r < 0) {
            return r;
        }
        lock->has_usher = true;
    }
    lock->state = USHER_ASKED;
    lock->asked = now();
    pthread_cond_signal(&lock->usher_called);
    return 0;
}

/* What it holds or waits for goes with the file, which the caller closes. */
static void end_usher(struct sqlite_lock *lock)
{
    if (lock->has_usher) {
        pthread_mutex_lock(&lock->mutex);
        lock->usher_ends = true;
        pthread_cond_signal(&lock->usher_called);
        pthread_mutex_unlock(&lock->mutex);
        pthread_cancel(lock->usher);
        pthread_join(lock->usher, NULL);
        lock->has_usher = lock->usher_ends = false;
    }
    lock->state = USHER_IDLE;
}

/* With the mutex held: until the usher is back. */
static int await_usher(struct sqlite_lock *lock, usec_t deadline)
{
    lock->is_wanted = true;
    while (lock->state == USHER_ASKED && wait_until(&lock->usher_back, &lock->mutex, deadline)) {
    }
    lock->is_wanted = false;
    if (lock->state == USHER_ASKED) {
        return -EBUSY;
    }
    lock->state = USHER_IDLE;
    return lock->usher_result;
}

static int acquire(struct sqlite_lock *lock, usec_t deadline, usec_t patience)
{
    int r = 0;
    pthread_mutex_lock(&lock->mutex);
    if (lock->state == USHER_IDLE) {
        r = take(lock, F_OFD_SETLK);
        if (r == 0 || (r != -EAGAIN && r != -EACCES)) {
            goto out;
        }
        r = call_usher(lock);
    } else if (now() - lock->asked > patience) {
        usec_t shortly = usec_add(now(), short_patience);
        deadline = deadline < shortly ? deadline : shortly;
    }
    r = r < 0 ? r : await_usher(lock, deadline);
out:
    pthread_mutex_unlock(&lock->mutex);
    return r;
}

int sqlite_lock_acquire(struct sqlite_lock *lock, usec_t deadline, usec_t patience,
                        struct error *error)
{
    int r = acquire(lock, deadline, patience);
    if (r == -EBUSY) {
        return error_set(error, r,
                         "another process has kept the store locked for longer than "
                         "Datastore.busy_timeout; is one stopped or stuck?");
    }
    return r < 0 ? error_set_errno(error, r, "cannot queue up for writing") : 0;
}

void sqlite_lock_release(struct sqlite_lock *lock)
{
    release(lock, WRITER);
}

/* ---- life ---- */

int sqlite_lock_open(struct sqlite_lock *lock, const char *path, struct error *error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return error_set_errno(error, -errno, "cannot open %s", path);
    }
    end_usher(lock); /* it may wait for the old file */
    if (lock->fd >= 0) {
        close(lock->fd);
    }
    lock->fd = fd;
    return 0;
}

void sqlite_lock_done(struct sqlite_lock *lock)
{
    end_usher(lock);
    if (lock->fd >= 0) {
        close(lock->fd);
    }
    lock->fd = -1;
    pthread_mutex_destroy(&lock->mutex);
    pthread_cond_destroy(&lock->usher_called);
    pthread_cond_destroy(&lock->usher_back);
}
