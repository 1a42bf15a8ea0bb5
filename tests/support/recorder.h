/* SPDX-License-Identifier: Apache-2.0 */
/* What members saw: each request byte by byte, and everything about it that a canonical request has
 * not. Shared by all members of a test; any thread. */
#ifndef PORTICO_TESTS_RECORDER_H
#define PORTICO_TESTS_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum { RECORDED_BODY_MAX = 1 << 16, TAG_SIZE = 64, TAG_NUMBERS = 1 << 20 };

struct recorded {
    unsigned backend;    /* its index */
    uint64_t connection; /* number among all connections of all members */
    char *head;          /* as received, NUL-terminated behind `head_len` */
    size_t head_len;
    char *body; /* decoded, its first bytes */
    size_t body_kept;
    uint64_t body_bytes, body_hash; /* of all of it */
    bool is_complete;               /* the whole body came */
    char tag[TAG_SIZE];             /* value of X-Tag */
};

struct recorder;

struct recorder *recorder_new(void);
void recorder_free(struct recorder *recorder);

/* Keep whole requests (at most some thousands), or only count. */
void recorder_keep(struct recorder *recorder, bool keeps);
/* Forget the requests and what was wrong. */
void recorder_clear(struct recorder *recorder);

/* Judge and keep; takes head and body. */
void recorder_add(struct recorder *recorder, struct recorded *request);

/* How many requests there were since the last recorder_clear(). */
unsigned recorder_count(struct recorder *recorder);
/* The n-th kept one; borrowed until the recorder is cleared. Abort when there is none. */
const struct recorded *recorder_at(struct recorder *recorder, unsigned index);
/* What was wrong with requests, a line for each; "" when nothing was. To be freed. */
char *recorder_complaints(struct recorder *recorder);
/* Requests to /smuggled are fine, for once. */
void recorder_allow_smuggled(struct recorder *recorder, bool allows);

/* How often a request with `X-Tag: NUMBER` came, since the recorder was made. */
unsigned recorder_seen(struct recorder *recorder, unsigned number);

/* A field of a head; false: it is absent. `value` may be NULL. */
bool recorded_field(const struct recorded *request, const char *name, char value[256]);
/* How often it is there. */
unsigned recorded_fields(const struct recorded *request, const char *name);

/* FNV-1a, to be continued from a former result; the first is 0. */
uint64_t bytes_hash(uint64_t hash, struct str bytes);

#endif
