/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers that several tests need. */
#ifndef PORTICO_TESTS_SUPPORT_H
#define PORTICO_TESTS_SUPPORT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/str.h"

/* A copy of `bytes` that ends flush against an unreadable page: one byte too far is a crash.
 * Release with guarded_free(). `bytes.len` may be 0. */
struct guarded {
    char *data;
    size_t len;
    void *mapping;
    size_t mapping_size;
};

struct guarded guarded_copy(struct str bytes);
void guarded_free(struct guarded *guarded);

/* The whole file, NUL-terminated (not counted in *len). NULL when it cannot be read. Caller frees.
 */
char *read_file(const char *path, size_t *len);

/* A fresh directory below $TMPDIR or /tmp; free with remove_temporary_directory(), which deletes it
 * with everything inside. */
char *make_temporary_directory(void);
void remove_temporary_directory(char *path);

/* Write `content` to DIRECTORY/NAME, creating it; the path, to be freed. */
char *write_file(const char *directory, const char *name, struct str content);

/* Leave a test that cannot run here; ctest counts it as skipped. (Criterion's own cr_skip_test() is
 * silent, and a test executable without a tested test counts as failed.) */
#define SKIP_TEST(reason)                         \
    do {                                          \
        fprintf(stderr, "[SKIP] %s\n", (reason)); \
        return;                                   \
    } while (0)

/* The bytes of a view that was made to be freed. */
void free_str(struct str bytes);

/* Sleep; where there is nothing to wait for but time. */
void sleep_for(usec_t time);

/* Deterministic pseudo-random numbers (xorshift64*); any seed but 0. */
uint64_t next_random(uint64_t *state);

#endif
