/* SPDX-License-Identifier: Apache-2.0 */
/* What one worker remembers of the last requests: for `explain` and `errors`. Two rings of fixed
 * size; the worker's thread only (the administration asks it there, see worker_visit). */
#ifndef PORTICO_BALANCER_RECENT_H
#define PORTICO_BALANCER_RECENT_H

#include <stddef.h>
#include <stdint.h>

#include "record.h"

enum {
    RECENT_REQUESTS = 4096,
    RECENT_ERRORS = 64,
    RECENT_TEXT = 128, /* bytes kept of method and target */
    RECENT_HEAD = 256, /* bytes kept around the offset that was refused */
};

/* A request, without pointers. */
struct recent_request {
    char request_id[REQUEST_ID_SIZE];
    char client[48];
    char text[RECENT_TEXT]; /* "METHOD TARGET", cut; escaped by who prints it */
    char member[64];        /* "": none */
    usec_t wall, receive, queue, connect, wait, total;
    uint64_t bytes_in, bytes_out, connection;
    uint32_t retries;
    uint16_t status;
    uint16_t reason;
};

/* A refused request: where, why, and the bytes around it (raw: escaped by who prints them). */
struct recent_error {
    struct recent_request request;
    uint32_t offset;     /* in the input that was being read */
    uint32_t excerpt_at; /* offset of the excerpt's first byte */
    uint16_t excerpt_len;
    uint8_t excerpt[RECENT_HEAD];
};

struct recent;

struct recent *recent_new(void); /* NULL: no memory */
void recent_free(struct recent *recent);
void recent_add(struct recent *recent, const struct record *record);
/* For `errors`; recent_add() is for `explain`, so call both. `input`: what was read of the refused
 * message, from offset 0 on. What stands behind Authorization, Proxy-Authorization, Cookie and
 * Set-Cookie in it is blanked out, however malformed the line is. */
void recent_add_error(struct recent *recent, const struct record *record, struct str input);

/* From the newest on; NULL behind the oldest. */
const struct recent_request *recent_request_at(const struct recent *recent, size_t age);
const struct recent_error *recent_error_at(const struct recent *recent, size_t age);
/* For qsort() of several workers' errors. */
int recent_newest_first(const void *error, const void *other);
const struct recent_request *recent_find(const struct recent *recent, struct str request_id);

#endif
