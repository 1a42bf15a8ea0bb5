/* SPDX-License-Identifier: Apache-2.0 */
/* Reading configuration text, and finding places in it. Any thread. */
#include "config/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Until the end of the file: it may be a pipe, whose size nobody knows before. */
static int read_all(int fd, size_t max, struct buffer *out)
{
    size_t start = buffer_size(out);
    for (;;) {
        int code = buffer_reserve(out, 4096);
        if (code < 0) {
            return code == -ENOBUFS ? -EFBIG : code;
        }
        ssize_t n = read(fd, buffer_tail(out), buffer_room(out));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : 0;
        }
        buffer_commit(out, (size_t)n);
        if (buffer_size(out) - start > max) {
            return -EFBIG;
        }
    }
}

static int read_real_file(void *context, const char *path, size_t max, struct buffer *out,
                          struct file_facts *facts)
{
    (void)context;
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return -errno;
    }
    int code = fstat(fd, &status) < 0 ? -errno : 0;
    if (code == 0) {
        code = read_all(fd, max, out);
        *facts = (struct file_facts){status.st_dev, status.st_ino, status.st_mode};
    }
    close(fd);
    return code;
}

static const char *real_environment(void *context, const char *name)
{
    (void)context;
    return getenv(name);
}

const struct config_system config_system_real = {read_real_file, real_environment, NULL};

struct str source_line(const struct source *source, unsigned line)
{
    struct str rest = source->text;
    struct str part = {NULL, 0};
    for (unsigned at = 0; at < line; at++) {
        if (!str_split(&rest, '\n', &part)) {
            return (struct str){NULL, 0};
        }
    }
    return str_ends_with(part, STR("\r")) ? str_first(part, part.len - 1) : part;
}

/* Length of the UTF-8 sequence at the start of `text`, 0 when it is none: RFC 3629, so neither
 * overlong forms nor surrogates. */
static size_t utf8_sequence(struct str text)
{
    const unsigned char *byte = (const unsigned char *)text.data;
    if (byte[0] < 0x80) {
        return 1;
    }
    size_t len = byte[0] >= 0xf0 ? 4 : byte[0] >= 0xe0 ? 3 : 2;
    if (byte[0] < 0xc2 || byte[0] > 0xf4 || text.len < len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((byte[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool is_overlong = (byte[0] == 0xe0 && byte[1] < 0xa0) || (byte[0] == 0xf0 && byte[1] < 0x90);
    bool is_outside = (byte[0] == 0xed && byte[1] > 0x9f) || (byte[0] == 0xf4 && byte[1] > 0x8f);
    return is_overlong || is_outside ? 0 : len;
}

int source_check_utf8(const struct source *source, struct place *place)
{
    unsigned line = 1;
    unsigned column = 1;
    for (struct str rest = source->text; rest.len > 0;) {
        size_t len = utf8_sequence(rest);
        if (len == 0) {
            *place = (struct place){source, line, column};
            return -EILSEQ;
        }
        column = rest.data[0] == '\n' ? 1 : column + 1;
        line += rest.data[0] == '\n';
        rest = str_skip(rest, len);
    }
    return 0;
}

char *path_beside(struct arena *arena, const char *base, struct str path)
{
    const char *slash = base == NULL ? NULL : strrchr(base, '/');
    if (slash == NULL || str_starts_with(path, STR("/"))) {
        return arena_strdup(arena, path);
    }
    return arena_printf(arena, "%.*s%.*s", (int)(slash - base) + 1, base, STR_ARG(path));
}
