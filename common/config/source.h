/* SPDX-License-Identifier: Apache-2.0 */
/* Where a piece of configuration text comes from: a file, or one -p on the command line. Sources
 * live in the memory of the configuration that was read from them. */
#ifndef PORTICO_CONFIG_SOURCE_H
#define PORTICO_CONFIG_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"

enum {
    SOURCE_FILE_MAX_BYTES = 1024 * 1024, /* a real grr-server.yaml has some 50 KiB */
};

/* What was true of a file when it was read. */
struct file_facts {
    dev_t device;
    ino_t inode; /* 0: not known, then the path tells files apart */
    mode_t mode;
};

/* How the outside world is read; tests and fuzzers bring their own. */
struct config_system {
    /* Append the file's bytes, at most `max`: 0, -EFBIG, or why it cannot be read. */
    int (*read_file)(void *context, const char *path, size_t max, struct buffer *out,
                     struct file_facts *facts);
    /* NULL: not set. Borrowed until the next call. */
    const char *(*environment)(void *context, const char *name);
    void *context;
};

extern const struct config_system config_system_real;

enum source_kind {
    SOURCE_BUILT_IN, /* the option table itself */
    SOURCE_FILE,
    SOURCE_WRITEBACK,
    SOURCE_PARAMETER,
};

struct source {
    enum source_kind kind;
    unsigned order;   /* in which it was read; problems are told in this order */
    const char *name; /* the path as it was given, or "-p Key=value" */
    struct str text;
    struct file_facts facts;
};

/* A position in a source. `line` and `column` count from 1, `column` in characters; 0: the source
 * as a whole. */
struct place {
    const struct source *source; /* NULL: nowhere in particular */
    unsigned line, column;
};

/* The line numbered `line`, without its end; empty when there is none. */
struct str source_line(const struct source *source, unsigned line);

/* Find the first byte that is no UTF-8. -EILSEQ with its place, or 0. A byte order mark of another
 * encoding counts as that. */
MUST_CHECK int source_check_utf8(const struct source *source, struct place *place);

/* PATH, seen from the directory of the file BASE; the copy belongs to the arena, NULL: no memory.
 * BASE NULL or an absolute PATH: as it is. */
char *path_beside(struct arena *arena, const char *base, struct str path);

#endif
