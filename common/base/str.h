/* SPDX-License-Identifier: Apache-2.0 */
/* A view of bytes that somebody else owns. It is no C string: it may hold NUL and ends where `len`
 * says. It dies when its buffer moves or is freed. */
#ifndef PORTICO_BASE_STR_H
#define PORTICO_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

struct str {
    const char *data;
    size_t len;
};

/* A view of a string literal, usable in initialisers. */
#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})

/* printf("%.*s", STR_ARG(view)); stops at a NUL, as printf() does. */
#define STR_ARG(view) (int)((view).len < INT32_MAX ? (view).len : INT32_MAX), (view).data

static inline struct str str_from(const char *text)
{
    return (struct str){text, text == NULL ? 0 : strlen(text)};
}

static inline struct str str_make(const char *data, size_t len)
{
    return (struct str){data, len};
}

static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* ASCII letters only, whatever the locale. */
bool str_equal_nocase(struct str a, struct str b);

bool str_starts_with(struct str text, struct str prefix);
bool str_ends_with(struct str text, struct str suffix);

/* Without the first `n` bytes; `n` past the end gives an empty view. */
struct str str_skip(struct str text, size_t n);

/* At most the first `n` bytes. */
struct str str_first(struct str text, size_t n);

/* Offset of the first `byte`, or text.len when there is none. */
size_t str_find(struct str text, char byte);

/* Without white space (space, tab, CR, LF, VT, FF) at both ends. */
struct str str_trim(struct str text);

/* Take what stands before the first `separator` off the front of *rest; all of it when there is
 * none. False when *rest is used up (its data is then NULL). An empty text is one empty part. */
bool str_split(struct str *rest, char separator, struct str *part);

/* Decimal digits only: no sign, no space. 0, -EINVAL (not digits, or none), -ERANGE. */
MUST_CHECK int str_to_uint64(struct str text, uint64_t *value);

/* A NUL-terminated copy on the heap, or NULL when there is no memory. Caller frees. */
char *str_dup(struct str text);

/* Edit distance, ASCII case ignored: insert, delete, replace and swap of neighbours count one each.
 * `limit` + 1 when it is larger than `limit`. For suggestions; texts longer than 128 bytes are
 * never close. */
unsigned str_distance(struct str a, struct str b, unsigned limit);

#endif
