/* SPDX-License-Identifier: Apache-2.0 */
/* See session_file.h. Whoever opens holds a lock on the directory meanwhile, so that of several
 * that start at once one makes the file and the others find it; a file appears under its name only
 * when it is complete. The kernel releases the lock of the dead. */
#include "session_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "wire/cipher.h"

/* What stands at the front of the file; read once, into memory of our own. */
struct head {
    char magic[8];
    uint64_t version;
    uint64_t bytes;
    uint64_t shape;
    uint8_t identity[RSA_FINGERPRINT_BYTES];
    uint64_t seed[2];
    uint64_t sum; /* of all of the above: damage to the seed would lose every session, silently */
};

static const char magic[8] = "portico";
static const usec_t lock_patience = 5 * USEC_PER_SEC;
static const usec_t lock_interval = 5 * USEC_PER_MSEC;

/* Where the file is to be. */
struct spot {
    int directory;
    const char *name; /* in it */
    char fresh[NAME_MAX + 1];
    const char *path; /* for people */
};

/* FNV-1a. Bytes of our own making: it is for accidents. */
static uint64_t sum_head(const struct head *head)
{
    const unsigned char *bytes = (const unsigned char *)head;
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < offsetof(struct head, sum); i++) {
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return sum;
}

static struct head make_head(size_t bytes, const uint8_t *identity, uint64_t shape)
{
    struct head head = {.version = SESSION_FILE_VERSION, .bytes = bytes, .shape = shape};
    memcpy(head.magic, magic, sizeof head.magic);
    memcpy(head.identity, identity, sizeof head.identity);
    return head;
}

/* ---- the directory ---- */

static int lock_directory(int directory)
{
    usec_t deadline = usec_add(clock_monotonic(&clock_system), lock_patience);
    while (flock(directory, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return -errno;
        }
        if (clock_monotonic(&clock_system) >= deadline) {
            return -EBUSY;
        }
        nanosleep(&(struct timespec){.tv_nsec = lock_interval * 1000}, NULL);
    }
    return 0;
}

static int open_directory(const char *path, const char *name)
{
    char directory[PATH_MAX] = ".";
    size_t len = (size_t)(name - path);
    if (len >= sizeof directory) {
        return -ENAMETOOLONG;
    }
    if (len > 0) {
        memcpy(directory, path, len);
        directory[len] = '\0';
    }
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    return fd;
}

/* Closing the directory unlocks it. */
static int spot_enter(struct spot *spot, const char *path, struct error *error)
{
    static const char suffix[] = ".new";
    const char *slash = strrchr(path, '/');
    spot->path = path;
    spot->name = slash == NULL ? path : slash + 1;
    size_t len = strlen(spot->name);
    if (len == 0 || len + sizeof suffix > sizeof spot->fresh) {
        return error_set(error, -EINVAL, "session cache: \"%s\" names no file", path);
    }
    memcpy(spot->fresh, spot->name, len);
    memcpy(spot->fresh + len, suffix, sizeof suffix);
    spot->directory = open_directory(path, spot->name);
    int r = spot->directory < 0 ? spot->directory : lock_directory(spot->directory);
    if (r < 0 && spot->directory >= 0) {
        close(spot->directory);
    }
    return r < 0 ? error_set_errno(error, r, "session cache: cannot lock the directory of %s", path)
                 : 0;
}

/* ---- a file that is there ---- */

static bool head_fits(int fd, const struct head *wanted, struct head *found)
{
    return pread(fd, found, sizeof *found, 0) == (ssize_t)sizeof *found &&
           memcmp(found, wanted, offsetof(struct head, seed)) == 0 && found->sum == sum_head(found);
}

/* Every page there, whatever became of the file since it was made: writing to a hole on a full file
 * system is SIGBUS. File systems that cannot tell have to be believed. */
static int fill_holes(int fd, size_t bytes)
{
    return fallocate(fd, 0, 0, (off_t)bytes) == 0 || errno == EOPNOTSUPP ? 0 : -errno;
}

/* 1: usable, 0: to be replaced, negative: leave it alone. */
static int judge_file(int fd, const struct head *wanted, struct head *found,
                      const struct spot *spot, struct error *error)
{
    struct stat info;
    if (fstat(fd, &info) < 0) {
        return error_set_errno(error, -errno, "session cache: cannot look at %s", spot->path);
    }
    if (!S_ISREG(info.st_mode)) {
        return error_set(error, -EINVAL, "session cache: %s is no plain file", spot->path);
    }
    if (info.st_uid != geteuid()) {
        return error_set(error, -EPERM, "session cache: %s belongs to user %u", spot->path,
                         (unsigned)info.st_uid);
    }
    /* What others could read or write holds no secrets any more. */
    if ((info.st_mode & 07777) != 0600 || info.st_nlink != 1 ||
        info.st_size != (off_t)wanted->bytes || !head_fits(fd, wanted, found)) {
        return 0;
    }
    int r = fill_holes(fd, wanted->bytes);
    return r < 0 ? error_set_errno(error, r, "session cache: cannot fill %s", spot->path) : 1;
}

/* The descriptor; -ENOENT: there is none, or it is to be replaced. */
static int open_present(const struct spot *spot, const struct head *wanted, struct head *found,
                        struct error *error)
{
    int fd = openat(spot->directory, spot->name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        int r = errno == ELOOP || errno == EISDIR || errno == ENXIO ? -EINVAL : -errno;
        return r == -ENOENT
                   ? r
                   : error_set_errno(error, r, "session cache: cannot open %s", spot->path);
    }
    int r = judge_file(fd, wanted, found, spot, error);
    if (r == 1) {
        return fd;
    }
    close(fd);
    return r < 0 ? r : -ENOENT;
}

/* ---- a fresh one ---- */

static int fill_file(int fd, const struct head *head)
{
    int r = -posix_fallocate(fd, 0, (off_t)head->bytes);
    if (r == 0 && fchmod(fd, 0600) < 0) { /* a umask may have taken even that */
        r = -errno;
    }
    if (r == 0 && pwrite(fd, head, sizeof *head, 0) != (ssize_t)sizeof *head) {
        r = -EIO;
    }
    return r;
}

static int make_file(const struct spot *spot, struct head *head, struct error *error)
{
    int r = cipher_random(head->seed, sizeof head->seed);
    int fd = -1;
    head->sum = sum_head(head);
    (void)unlinkat(spot->directory, spot->fresh, 0); /* of one who died here */
    if (r == 0) {
        fd = openat(spot->directory, spot->fresh,
                    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        r = fd < 0 ? -errno : fill_file(fd, head);
    }
    if (r == 0 && renameat(spot->directory, spot->fresh, spot->directory, spot->name) < 0) {
        r = -errno;
    }
    if (r == 0) {
        return fd;
    }
    if (fd >= 0) {
        close(fd);
        (void)unlinkat(spot->directory, spot->fresh, 0);
    }
    return error_set_errno(error, r, "session cache: cannot make %s of %zu bytes", spot->path,
                           (size_t)head->bytes);
}

/* ---- mapping ---- */

static int map_file(int fd, const struct head *head, struct session_file *file)
{
    void *memory = mmap(NULL, head->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        return -errno;
    }
    (void)madvise(memory, head->bytes, MADV_DONTDUMP); /* secrets; a kernel may not know how */
    file->memory = memory;
    file->bytes = head->bytes;
    memcpy(file->seed, head->seed, sizeof file->seed);
    return 0;
}

static int open_in(const struct spot *spot, const struct head *wanted, struct session_file *file,
                   struct error *error)
{
    struct head head = *wanted;
    int fd = open_present(spot, wanted, &head, error);
    bool is_fresh = fd == -ENOENT;
    if (is_fresh) {
        head = *wanted;
        fd = make_file(spot, &head, error);
    }
    if (fd < 0) {
        return fd;
    }
    file->is_fresh = is_fresh;
    int r = map_file(fd, &head, file);
    close(fd);
    return r < 0 ? error_set_errno(error, r, "session cache: cannot map %s", spot->path) : 0;
}

int session_file_open(const char *path, size_t bytes, const uint8_t *identity, uint64_t shape,
                      struct session_file *file, struct error *error)
{
    struct spot spot = {.directory = -1};
    const struct head wanted = make_head(bytes, identity, shape);
    int r = spot_enter(&spot, path, error);
    if (r < 0) {
        return r;
    }
    r = open_in(&spot, &wanted, file, error);
    close(spot.directory);
    return r;
}

void session_file_close(struct session_file *file)
{
    munmap(file->memory, file->bytes);
}
