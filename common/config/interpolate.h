/* SPDX-License-Identifier: Apache-2.0 */
/* The %(...) language of configuration values. It knows nothing of files and options: what a name
 * stands for, what a file holds and what the environment says is asked through callbacks. One
 * thread.
 *
 *     %(Section.key)      the value of that option, interpolated in turn
 *     %(key)              the same in the section of the option whose value this is
 *     %(text|filter)      the text sent through a filter; several: %(text|filter,filter)
 *     %{text}             the text as it is
 *     \x                  x, where x is one of \ ( ) { } % |
 *
 * Expressions nest, the innermost is done first. Filters: literal lower upper file optionalfile env
 * expand fixpathsep. */
#ifndef PORTICO_CONFIG_INTERPOLATE_H
#define PORTICO_CONFIG_INTERPOLATE_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"

enum {
    INTERPOLATE_NESTING_MAX = 16,     /* expressions within each other, expand included */
    INTERPOLATE_BUDGET = 10000,       /* expressions for one value, those that it refers to too */
    INTERPOLATE_OUTPUT_MAX = 1 << 20, /* bytes; also what a single file may have */
};

struct interpolation {
    /* Append the interpolated value of `key` (with its section); nothing when it is not set. */
    int (*lookup)(void *context, struct str key, struct buffer *out, struct error *error);
    /* Append the file's content; -ENOENT and the like without a message are given one. */
    int (*file)(void *context, const char *path, struct buffer *out, struct error *error);
    /* NULL: not set. */
    const char *(*environment)(void *context, const char *name);
    void *context;
    unsigned budget; /* expressions still allowed; the caller starts it at INTERPOLATE_BUDGET */
};

/* Append `text`, interpolated, to `out`. `section` is for names without one.
 *
 * 0, or negative with a message; then `out` holds some prefix and *offset (may be NULL) tells where
 * in `text` the trouble is. -EINVAL: not the language, or an unknown filter; -ELOOP: too deep or
 * too much; -EFBIG: too long; else what a callback said. */
MUST_CHECK int interpolate(struct interpolation *interpolation, struct str section, struct str text,
                           struct buffer *out, size_t *offset, struct error *error);

#endif
