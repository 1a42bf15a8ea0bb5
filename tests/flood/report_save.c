/* SPDX-License-Identifier: Apache-2.0 */
/* Reports into files: whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"

typedef int (*write_report)(const struct results *results, FILE *out);

/* Takes the stream. 0, -ENOMEM or the error of a system call. */
static int write_and_close(FILE *out, write_report write, const struct results *results)
{
    int code = write(results, out);
    errno = 0;
    bool is_broken = ferror(out) != 0;
    if (fclose(out) != 0 || is_broken) {
        code = code < 0 ? code : errno != 0 ? -errno : -EIO;
    }
    return code;
}

/* A pipe or a terminal cannot be replaced, only written to. */
static bool is_special(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

static int save_special(const char *path, write_report write, const struct results *results)
{
    FILE *out = fopen(path, "we");
    return out == NULL ? -errno : write_and_close(out, write, results);
}

static FILE *open_beside(const char *path, char *beside, size_t size)
{
    int len = snprintf(beside, size, "%s.XXXXXX", path);
    if (len < 0 || (size_t)len >= size) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    int fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    mode_t mask = umask(0);
    umask(mask);
    (void)fchmod(fd, 0666 & ~mask); /* as any program would have made it */
    FILE *out = fdopen(fd, "w");
    if (out == NULL) {
        close(fd);
        unlink(beside);
    }
    return out;
}

static int save_regular(const char *path, write_report write, const struct results *results)
{
    char beside[PATH_MAX];
    FILE *out = open_beside(path, beside, sizeof beside);
    if (out == NULL) {
        return -errno;
    }
    int code = write_and_close(out, write, results);
    if (code == 0 && rename(beside, path) < 0) {
        code = -errno;
    }
    if (code < 0) {
        unlink(beside);
    }
    return code;
}

static int save(const char *path, write_report write, const struct results *results,
                struct error *error)
{
    int code =
        is_special(path) ? save_special(path, write, results) : save_regular(path, write, results);
    return code < 0 ? error_set_errno(error, code, "cannot write the report %s", path) : 0;
}

int report_save_json(const struct results *results, const char *path, struct error *error)
{
    return save(path, report_write_json, results, error);
}

static int write_html(const struct results *results, FILE *out)
{
    report_write_html(results, out);
    return 0;
}

int report_save_html(const struct results *results, const char *path, struct error *error)
{
    return save(path, write_html, results, error);
}
