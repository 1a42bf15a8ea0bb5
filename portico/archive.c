/* SPDX-License-Identifier: Apache-2.0 */
/* Making a backup. */
#include "archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive_sum.h"
#include "progress.h"
#include "table.h"

enum {
    COPY_BYTES = 1 << 20,
    DEPTH_MAX = 2, /* folders in the archive */
};

/* ---- Files ---- */

static int join(char out[PATH_MAX], const char *directory, const char *name, struct error *error)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", directory, name);
    return len < PATH_MAX ? 0
                          : error_set(error, -ENAMETOOLONG, "%s/%s is too long", directory, name);
}

static int create(const char *path, struct error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return error_set_errno(error, -errno, "cannot create %s", path);
    }
    return fd;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        data += n < 0 ? 0 : n;
        size -= n < 0 ? 0 : (size_t)n;
    }
    return 0;
}

/* Flush and close; what failed before is kept, and nothing stays of it. */
static int finish_file(int fd, const char *path, int r, struct error *error)
{
    if (r == 0 && fsync(fd) < 0) {
        r = -errno;
    }
    if (close(fd) < 0 && r == 0) {
        r = -errno;
    }
    if (r < 0) {
        (void)unlink(path);
        return error_set_errno(error, r, "cannot write %s", path);
    }
    return 0;
}

static int write_file(const char *path, struct str bytes, struct error *error)
{
    int fd = create(path, error);
    return fd < 0 ? fd : finish_file(fd, path, write_all(fd, bytes.data, bytes.len), error);
}

static int copy_bytes(int in, int out, const struct store_progress *progress)
{
    struct stat status;
    uint64_t done = 0;
    int r = fstat(in, &status) < 0 ? -errno : 0;
    char *bytes = malloc(COPY_BYTES);
    r = bytes == NULL ? -ENOMEM : r;
    ssize_t n = 1;
    while (r == 0 && n > 0) {
        n = read(in, bytes, COPY_BYTES);
        r = n < 0 ? -errno : write_all(out, bytes, (size_t)n);
        done += n < 0 ? 0 : (uint64_t)n;
        if (r == 0 && progress != NULL &&
            !progress->step(progress->context, done, (uint64_t)status.st_size)) {
            r = -ECANCELED;
        }
    }
    free(bytes);
    return r;
}

int archive_copy_file(const char *source, const char *target, const struct store_progress *progress,
                      struct error *error)
{
    int in = open(source, O_RDONLY | O_CLOEXEC);
    if (in < 0) {
        return error_set_errno(error, -errno, "cannot read %s", source);
    }
    int out = create(target, error);
    if (out >= 0) {
        out = finish_file(out, target, copy_bytes(in, out, progress), error);
    }
    close(in);
    return out;
}

int archive_flush_directory(const char *path, struct error *error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) < 0 ? error_set_errno(error, -errno, "cannot flush %s", path) : 0;
    if (fd >= 0) {
        close(fd);
    }
    return r;
}

/* Only what we put there: files, and folders of files. Another thing makes it fail and stay. */
static void remove_tree(const char *path, unsigned depth)
{
    char inner[PATH_MAX];
    const struct dirent *entry;
    DIR *directory = depth == 0 ? NULL : opendir(path);
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            join(inner, path, entry->d_name, NULL) == 0 && unlink(inner) < 0) {
            remove_tree(inner, depth - 1);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    (void)rmdir(path);
}

/* ---- An archive ---- */

/* Other programs call their files so, too. */
static bool is_manifest(const char *path)
{
    static const char beginning[] = "# portico backup ";
    char bytes[sizeof beginning - 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    if (fd >= 0) {
        close(fd);
    }
    return n == (ssize_t)sizeof bytes && memcmp(bytes, beginning, sizeof bytes) == 0;
}

static int refuse_existing(const struct archive *archive, struct error *error)
{
    char manifest[PATH_MAX];
    struct stat status;
    if (lstat(archive->path, &status) < 0) {
        return errno == ENOENT ? 0 : error_set_errno(error, -errno, "cannot use %s", archive->path);
    }
    int r = join(manifest, archive->path, ARCHIVE_MANIFEST, error);
    if (r == 0 && (!S_ISDIR(status.st_mode) || !is_manifest(manifest))) {
        return error_set(error, -ENOTDIR, "%s is there, and is no backup", archive->path);
    }
    return r < 0 || archive->may_replace
               ? r
               : error_set(error, -EEXIST, "%s is there already", archive->path);
}

int archive_begin(struct archive *archive, const char *path, bool may_replace, struct error *error)
{
    size_t len = strlen(path);
    archive->draft[0] = '\0';
    archive->count = 0;
    archive->may_replace = may_replace;
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    if (len == 0 || len >= PATH_MAX - 32) {
        return error_set(error, -ENAMETOOLONG, "\"%s\" is no name for a backup", path);
    }
    snprintf(archive->path, sizeof archive->path, "%.*s", (int)len, path);
    int r = refuse_existing(archive, error);
    if (r < 0) {
        return r;
    }
    char draft[PATH_MAX];
    snprintf(draft, sizeof draft, "%.*s.%ld.new", (int)len, path, (long)getpid());
    if (mkdir(draft, 0700) < 0) {
        return error_set_errno(error, -errno, "cannot create %s", draft);
    }
    memcpy(archive->draft, draft, sizeof draft);
    return 0;
}

/* The folder of "keys/server.pem". */
static int make_folder(const struct archive *archive, const char *name, struct error *error)
{
    char path[PATH_MAX];
    size_t len = str_find(str_from(name), '/');
    if (name[len] == '\0') {
        return 0;
    }
    snprintf(path, sizeof path, "%.4000s/%.*s", archive->draft, (int)len, name);
    return mkdir(path, 0700) < 0 && errno != EEXIST
               ? error_set_errno(error, -errno, "cannot create %s", path)
               : 0;
}

static int note(struct archive *archive, const char *name, const char *origin, struct error *error)
{
    if (archive->count == ARCHIVE_FILES_MAX || strlen(name) >= ARCHIVE_NAME_SIZE) {
        return error_set(error, -E2BIG, "%s: there are too many files, or its name is too long",
                         name);
    }
    char *copy = origin == NULL ? NULL : strdup(origin);
    if (origin != NULL && copy == NULL) {
        return error_set(error, -ENOMEM, "out of memory");
    }
    archive->origins[archive->count] = copy;
    snprintf(archive->names[archive->count++], ARCHIVE_NAME_SIZE, "%s", name);
    return 0;
}

static int place(struct archive *archive, const char *name, const char *origin,
                 char where[PATH_MAX], struct error *error)
{
    int r = join(where, archive->draft, name, error);
    r = r < 0 ? r : make_folder(archive, name, error);
    return r < 0 ? r : note(archive, name, origin, error);
}

int archive_place(struct archive *archive, const char *name, char where[PATH_MAX],
                  struct error *error)
{
    return place(archive, name, NULL, where, error);
}

int archive_put(struct archive *archive, const char *name, struct str bytes, struct error *error)
{
    char path[PATH_MAX];
    int r = place(archive, name, NULL, path, error);
    return r < 0 ? r : write_file(path, bytes, error);
}

int archive_copy(struct archive *archive, const char *name, const char *source, struct error *error)
{
    char path[PATH_MAX];
    char origin[PATH_MAX];
    /* As it is found from anywhere. */
    const char *known = realpath(source, origin) == NULL ? source : origin;
    int r = place(archive, name, known, path, error);
    return r < 0 ? r : archive_copy_file(source, path, NULL, error);
}

/* ---- The manifest ---- */

/* A line each; a name with a line end in it would be two. */
static void put_origin(FILE *text, const char *name, const char *origin)
{
    fprintf(text, "# from %s ", name);
    text_print(text, str_from(origin));
    fputc('\n', text);
}

static int put_sums(const struct archive *archive, FILE *text, struct error *error)
{
    for (size_t i = 0; i < archive->count; i++) {
        char path[PATH_MAX];
        char sum[ARCHIVE_SUM_SIZE];
        int r = join(path, archive->draft, archive->names[i], error);
        r = r < 0 ? r : archive_sum(path, sum, error);
        if (r < 0) {
            return r;
        }
        fprintf(text, "%s  %s\n", sum, archive->names[i]);
    }
    return 0;
}

static int put_manifest(const struct archive *archive, const struct store_inspection *inspection,
                        usec_t made, FILE *text, struct error *error)
{
    const struct store_statistics *counts = &inspection->counts;
    char time[TIME_TEXT_SIZE];
    fprintf(text,
            "# portico backup 1\n"
            "# made %s\n"
            "# schema %lld\n"
            "# files %zu\n"
            "# agents %llu requests %llu responses %llu messages %llu\n",
            time_format(made, time), (long long)inspection->schema, archive->count,
            (unsigned long long)counts->agents[0], (unsigned long long)counts->requests,
            (unsigned long long)counts->responses, (unsigned long long)counts->messages);
    for (size_t i = 0; i < archive->count; i++) {
        if (archive->origins[i] != NULL) {
            put_origin(text, archive->names[i], archive->origins[i]);
        }
    }
    return put_sums(archive, text, error);
}

static int write_manifest(const struct archive *archive, const struct store_inspection *inspection,
                          usec_t made, struct error *error)
{
    char path[PATH_MAX];
    char *bytes = NULL;
    size_t size = 0;
    FILE *text = open_memstream(&bytes, &size);
    if (text == NULL) {
        return error_set(error, -ENOMEM, "out of memory");
    }
    int r = put_manifest(archive, inspection, made, text, error);
    if (fclose(text) != 0 && r == 0) {
        r = error_set(error, -ENOMEM, "out of memory");
    }
    r = r < 0 ? r : join(path, archive->draft, ARCHIVE_MANIFEST, error);
    r = r < 0 ? r : write_file(path, str_make(bytes, size), error);
    free(bytes);
    return r;
}

/* ---- Its name ---- */

static int flush_folders(const struct archive *archive, struct error *error)
{
    int r = 0;
    for (size_t i = 0; i < archive->count && r == 0; i++) {
        char path[PATH_MAX];
        r = join(path, archive->draft, archive->names[i], error);
        char *slash = r < 0 ? NULL : strrchr(path, '/');
        if (slash != NULL) {
            *slash = '\0';
            r = archive_flush_directory(path, error);
        }
    }
    return r < 0 ? r : archive_flush_directory(archive->draft, error);
}

static int flush_parent(const struct archive *archive, struct error *error)
{
    char parent[PATH_MAX];
    memcpy(parent, archive->path, sizeof parent);
    char *slash = strrchr(parent, '/');
    if (slash == NULL) {
        return archive_flush_directory(".", error);
    }
    slash[slash == parent ? 1 : 0] = '\0';
    return archive_flush_directory(parent, error);
}

/* The old one leads another name for a moment, and comes back if this fails. */
static int replace_plainly(struct archive *archive)
{
    char aside[PATH_MAX];
    snprintf(aside, sizeof aside, "%.4000s.%ld.old", archive->path, (long)getpid());
    if (rename(archive->path, aside) < 0) {
        return -errno;
    }
    if (rename(archive->draft, archive->path) < 0) {
        int code = errno;
        (void)rename(aside, archive->path);
        return -code;
    }
    memcpy(archive->draft, aside, sizeof aside); /* what is removed at the end */
    return 0;
}

/* rename(2) replaces no directory that has something in it. */
static int rename_plainly(struct archive *archive)
{
    if (rename(archive->draft, archive->path) == 0) {
        archive->draft[0] = '\0';
        return 0;
    }
    bool is_there = errno == EEXIST || errno == ENOTEMPTY;
    return is_there && archive->may_replace ? replace_plainly(archive) : -errno;
}

/* In one step, so that at every moment there is a whole one. */
static int rename_at_once(struct archive *archive)
{
    if (renameat2(AT_FDCWD, archive->draft, AT_FDCWD, archive->path, RENAME_NOREPLACE) == 0) {
        archive->draft[0] = '\0';
        return 0;
    }
    if (errno == EEXIST && archive->may_replace &&
        renameat2(AT_FDCWD, archive->draft, AT_FDCWD, archive->path, RENAME_EXCHANGE) == 0) {
        return 0; /* what is removed at the end is the old one */
    }
    return -errno;
}

static int take_name(struct archive *archive, struct error *error)
{
    if (progress_is_interrupted()) {
        return error_set(error, -ECANCELED, "the copy was given up");
    }
    int r = rename_at_once(archive);
    if (r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP) {
        r = rename_plainly(archive); /* NFS, for one, knows no other way */
    }
    return r < 0 ? error_set_errno(error, r, "cannot name it %s", archive->path) : 0;
}

int archive_publish(struct archive *archive, const struct store_inspection *inspection, usec_t made,
                    struct error *error)
{
    int r = write_manifest(archive, inspection, made, error);
    r = r < 0 ? r : flush_folders(archive, error);
    r = r < 0 ? r : take_name(archive, error);
    return r < 0 ? r : flush_parent(archive, error);
}

void archive_done(struct archive *archive)
{
    if (archive->draft[0] != '\0') {
        remove_tree(archive->draft, DEPTH_MAX);
    }
    for (size_t i = 0; i < archive->count; i++) {
        free(archive->origins[i]);
    }
    archive->count = 0;
    archive->draft[0] = '\0';
}
