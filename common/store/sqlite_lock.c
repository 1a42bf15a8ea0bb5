/* SPDX-License-Identifier: Apache-2.0 */
/* Open file description locks: they belong to the opened file, not to the process, and end with it.
 * Byte 0 is the turnstile, byte 1 the right to write. */
#include "store/sqlite_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"

enum { TURNSTILE = 0, WRITER = 1 };

void sqlite_lock_init(struct sqlite_lock *lock)
{
    *lock = (struct sqlite_lock){.fd = -1};
    pthread_mutex_init(&lock->mutex, NULL);
    pthread_cond_init(&lock->turn, NULL);
}

void sqlite_lock_done(struct sqlite_lock *lock)
{
    if (lock->fd >= 0) {
        close(lock->fd);
    }
    lock->fd = -1;
    pthread_mutex_destroy(&lock->mutex);
    pthread_cond_destroy(&lock->turn);
}

void sqlite_lock_enter(struct sqlite_lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
    uint64_t number = lock->next++;
    while (number != lock->serving) {
        pthread_cond_wait(&lock->turn, &lock->mutex);
    }
    pthread_mutex_unlock(&lock->mutex);
}

void sqlite_lock_leave(struct sqlite_lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
    lock->serving++;
    /* All wake up to see whose number it is; they are few (a committer, a few callers). */
    pthread_cond_broadcast(&lock->turn);
    pthread_mutex_unlock(&lock->mutex);
}

int sqlite_lock_open(struct sqlite_lock *lock, const char *path, struct error *error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return error_set_errno(error, -errno, "cannot open %s", path);
    }
    if (lock->fd >= 0) {
        close(lock->fd);
    }
    lock->fd = fd;
    return 0;
}

static int change(struct sqlite_lock *lock, off_t byte, short type)
{
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int r;
    do {
        r = fcntl(lock->fd, F_OFD_SETLKW, &range);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

int sqlite_lock_acquire(struct sqlite_lock *lock, struct error *error)
{
    int r = change(lock, TURNSTILE, F_WRLCK);
    if (r == 0) {
        r = change(lock, WRITER, F_WRLCK);
        (void)change(lock, TURNSTILE, F_UNLCK);
    }
    return r < 0 ? error_set_errno(error, r, "cannot queue up for writing") : 0;
}

void sqlite_lock_release(struct sqlite_lock *lock)
{
    (void)change(lock, WRITER, F_UNLCK);
}
