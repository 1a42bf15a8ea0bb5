/* SPDX-License-Identifier: Apache-2.0 */
/* A backup: a directory (0700) with the store, copies of the files that the configuration was read
 * from, the keys that are in effect, and a manifest, which sha256sum(1) -c understands
 * and which says how many files it names, so that a part of it is not taken for the whole:
 *
 *     # portico backup 1
 *     # made 2026-05-01T12:34:56Z
 *     # schema 1
 *     # files 1
 *     # agents 12 requests 34 responses 56 messages 78
 *     # from configuration/0-portico.yaml /etc/portico/portico.yaml
 *     HASH  portico.db
 *
 * It is written aside and gets its name when all of it is on the disk. One thread; blocks. */
#ifndef PORTICO_COMMAND_ARCHIVE_H
#define PORTICO_COMMAND_ARCHIVE_H

#include <limits.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"
#include "store/store_inspect.h"

enum { ARCHIVE_FILES_MAX = 256, ARCHIVE_NAME_SIZE = 96 };

#define ARCHIVE_STORE "portico.db"
#define ARCHIVE_MANIFEST "MANIFEST"

/* ---- Making one ---- */

struct archive {
    char path[PATH_MAX];
    char draft[PATH_MAX]; /* while it is being made; empty: there is nothing to remove */
    bool may_replace;
    size_t count;
    char names[ARCHIVE_FILES_MAX][ARCHIVE_NAME_SIZE]; /* relative to the archive */
    char *origins[ARCHIVE_FILES_MAX];                 /* owned; NULL: made, not copied */
};

/* Begin one at `path`. With `may_replace` an older backup may be there, but nothing else.
 * 0; -EEXIST: something is there; -ENOTDIR: something that is no backup; or another errno, with
 * words. archive_done() is due in either case. */
MUST_CHECK int archive_begin(struct archive *archive, const char *path, bool may_replace,
                             struct error *error);

/* Where a file of this name has to be written by others, who flush it; it is noted. */
MUST_CHECK int archive_place(struct archive *archive, const char *name, char place[PATH_MAX],
                             struct error *error);

/* Write a file, or copy one. -EFBIG: more than a configuration can be. */
MUST_CHECK int archive_put(struct archive *archive, const char *name, struct str bytes,
                           struct error *error);
MUST_CHECK int archive_copy(struct archive *archive, const char *name, const char *source,
                            struct error *error);

/* Write the manifest and give the archive its name; the one that was there is gone then.
 * -ECANCELED: progress_is_interrupted(). */
MUST_CHECK int archive_publish(struct archive *archive, const struct store_inspection *inspection,
                               usec_t made, struct error *error);

/* Removes what was not published. */
void archive_done(struct archive *archive);

/* ---- Looking at one ---- */

struct archive_facts {
    char made[40];    /* as the manifest says */
    char counts[160]; /* likewise */
    size_t files;     /* with the right sums */
    bool has_keys;
    struct store_inspection store;
};

/* Whether each file is as it was written, and the store whole. 0; -ENOENT: there is no manifest;
 * -EBADMSG: a file was changed or lost, or a line of the manifest; -EUCLEAN: the store is damaged;
 * or another errno. With words. */
MUST_CHECK int archive_verify(const char *path, usec_t patience, struct archive_facts *facts,
                              struct error *error);

/* ---- Files and directories, for both ---- */

/* Copy a file of any size to a fresh one, 0600, down to the disk. `progress` may be NULL. A failure
 * leaves nothing. */
MUST_CHECK int archive_copy_file(const char *source, const char *target,
                                 const struct store_progress *progress, struct error *error);
MUST_CHECK int archive_flush_directory(const char *path, struct error *error);

#endif
