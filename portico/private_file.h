/* SPDX-License-Identifier: Apache-2.0 */
/* A file with secrets: only its owner reads it (0600), it is there whole or not at all, and it
 * never replaces another. Written aside first, so that its writer can look at it before others do.
 * One thread. */
#ifndef PORTICO_COMMAND_PRIVATE_FILE_H
#define PORTICO_COMMAND_PRIVATE_FILE_H

#include <limits.h>

#include "base/compiler.h"
#include "base/str.h"

enum { PRIVATE_FILE_PATH_MAX = PATH_MAX };

/* Write `bytes`, down to the disk, to a fresh file beside `path`, whose name goes to `temporary`.
 * 0, or a negative errno; then nothing is left. */
MUST_CHECK int private_file_write(const char *path, struct str bytes,
                                  char temporary[PRIVATE_FILE_PATH_MAX]);

/* Give it its name. 0, -EEXIST: there is such a file, which stays as it was; or another errno.
 * `temporary` is gone in every case. */
MUST_CHECK int private_file_publish(const char *temporary, const char *path);

/* Remove it instead. Returns `code`. */
int private_file_drop(const char *temporary, int code);

#endif
