/* SPDX-License-Identifier: Apache-2.0 */
/* Why something failed, in words for a person, with the place when there is one. A plain value that
 * owns nothing: it lives on the caller's stack, begins zeroed, and needs no freeing. Functions that
 * take a `struct error *` accept NULL from callers who do not want the words. */
#ifndef PORTICO_BASE_ERROR_H
#define PORTICO_BASE_ERROR_H

#include <stddef.h>

#include "base/compiler.h"

struct error {
    char file[256];    /* empty: not about a file; like all text here cut with "..." when longer */
    unsigned line;     /* from 1; 0: not about a line */
    unsigned column;   /* from 1, in characters; 0: not about a column */
    char key[128];     /* configuration key, empty: none */
    char message[512]; /* one line, no full stop */
};

/* Set the message and return `code` (a negative errno), so that a failure is one line:
 *     return error_set(error, -EINVAL, "port %u is outside 1-65535", port);
 * Place and key stay as they were. The arguments may point into `error` itself. Control characters
 * become "?", for names in files and from peers end up here, and on a terminal. */
PRINTF_LIKE(3, 4) int error_set(struct error *error, int code, const char *format, ...);

/* As error_set(), with ": " and the words for errno value -code behind the message. */
PRINTF_LIKE(3, 4) int error_set_errno(struct error *error, int code, const char *format, ...);

/* Put what was being attempted before the message: "cannot serve: cannot listen on ...". Each
 * level of callers may add its own. Returns `code`. */
PRINTF_LIKE(3, 4) int error_wrap(struct error *error, int code, const char *format, ...);

void error_set_place(struct error *error, const char *file, unsigned line, unsigned column);
void error_set_key(struct error *error, const char *key);

/* Write "FILE:LINE:COLUMN: KEY: MESSAGE" without the parts that are not known, as snprintf() does:
 * always terminated, the length that it would need is returned. */
size_t error_format(const struct error *error, char *out, size_t size);

#endif
