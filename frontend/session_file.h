/* SPDX-License-Identifier: Apache-2.0 */
/* The file under the session cache: found good or made anew, checked, mapped. Part of
 * session_cache.c, which owns the result; one thread, while it starts. */
#ifndef PORTICO_FRONTEND_SESSION_FILE_H
#define PORTICO_FRONTEND_SESSION_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "wire/rsa.h"

struct error;

enum {
    SESSION_FILE_VERSION = 1,
    SESSION_FILE_HEAD_BYTES = 4096, /* before what the cache keeps */
};

struct session_file {
    unsigned char *memory; /* the whole mapping */
    size_t bytes;          /* its length, head included */
    uint64_t seed[2];      /* random, made with the file */
    bool is_fresh;         /* made just now: all zero behind the head */
};

/* As session_cache_open(). `shape` says how the cache divides its bytes: a file of another one is
 * replaced. On failure there is nothing to close. */
MUST_CHECK int session_file_open(const char *path, size_t bytes, const uint8_t *identity,
                                 uint64_t shape, struct session_file *file, struct error *error);
void session_file_close(struct session_file *file);

#endif
