/* SPDX-License-Identifier: Apache-2.0 */
/* Files with secrets, written whole. One thread. */
#include "private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int write_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        bytes = str_skip(bytes, n < 0 ? 0 : (size_t)n);
    }
    return fsync(fd) < 0 ? -errno : 0;
}

int private_file_write(const char *path, struct str bytes, char temporary[PRIVATE_FILE_PATH_MAX])
{
    int len = snprintf(temporary, PRIVATE_FILE_PATH_MAX, "%s.%ld.new", path, (long)getpid());
    if (len < 0 || len >= PRIVATE_FILE_PATH_MAX) {
        return -ENAMETOOLONG;
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -errno;
    }
    int r = write_all(fd, bytes);
    r = close(fd) < 0 && r == 0 ? -errno : r;
    return r < 0 ? private_file_drop(temporary, r) : 0;
}

int private_file_drop(const char *temporary, int code)
{
    (void)unlink(temporary);
    return code;
}

/* The name survives a crash once its directory is on the disk. */
static int sync_parent(const char *path)
{
    char parent[PRIVATE_FILE_PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    snprintf(parent, sizeof parent, "%.*s", (int)len, path);
    int fd = open(slash == NULL ? "."
                  : len == 0    ? "/"
                                : parent,
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

int private_file_publish(const char *temporary, const char *path)
{
    /* link(), for rename() would replace what somebody else wrote meanwhile. */
    int r = link(temporary, path) < 0 ? -errno : sync_parent(path);
    return private_file_drop(temporary, r);
}
