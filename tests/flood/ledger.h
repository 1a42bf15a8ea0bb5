/* SPDX-License-Identifier: Apache-2.0 */
/* What the server has answered for: one record of 32 bytes for every message whose poll was
 * answered 200, and for every request that was delivered. Written in order, beside the report, in
 * constant memory; verify reads it against the store. */
#ifndef PORTICO_FLOOD_LEDGER_H
#define PORTICO_FLOOD_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"

enum ledger_kind {
    LEDGER_MESSAGE = 1, /* to a well-known handler: a = the run, number = its sequence number */
    LEDGER_RESPONSE,    /* a = flow, b = request, number = response */
    LEDGER_DELIVERED,   /* a = flow, b = request */
    LEDGER_ANSWERED,    /* the same: the status that ends it was acknowledged */
};

struct ledger_record {
    uint32_t kind;
    uint32_t number;
    uint64_t agent; /* client_id_number() */
    uint64_t a, b;
};

/* Flows are recorded by a hash of their id. */
uint64_t ledger_flow(struct str flow);

struct ledger;
struct ledger_writer;

/* A new file in place of an older one, 0600. 0 or a negative errno with words. */
MUST_CHECK int ledger_new(const char *path, uint64_t run, struct ledger **ledger,
                          struct error *error);
/* Writers must be closed. 0, or -EIO: not everything could be written. NULL is fine. */
MUST_CHECK int ledger_close(struct ledger *ledger);

/* A thread's end of it; NULL without memory. `ledger` NULL: records go nowhere. */
struct ledger_writer *ledger_writer_new(struct ledger *ledger);
void ledger_write(struct ledger_writer *writer, const struct ledger_record *record);
void ledger_writer_free(struct ledger_writer *writer);

struct ledger_view {
    uint64_t run;
    const struct ledger_record *records;
    size_t count;
    void *mapped;
    size_t mapped_bytes;
};

/* 0, -EBADMSG: no ledger, or cut short; or another negative errno. */
MUST_CHECK int ledger_open(const char *path, struct ledger_view *view, struct error *error);
void ledger_view_done(struct ledger_view *view);

#endif
