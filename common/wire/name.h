/* SPDX-License-Identifier: Apache-2.0 */
/* Names (section 3): agents' ids, URNs, and whom a session id addresses (section 7). Plain values
 * that own nothing; pure functions, any thread. */
#ifndef PORTICO_WIRE_NAME_H
#define PORTICO_WIRE_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

enum {
    CLIENT_ID_LEN = 18,  /* "C." and 16 hex digits */
    URN_BYTES_MAX = 256, /* of a normalised URN, "aff4:" not counted */
    FLOW_ID_BYTES_MAX = 64,
};

/* "C.0123456789abcdef" */
struct client_id {
    char text[CLIENT_ID_LEN + 1];
};

/* Section 3: `modulus` is an RSA modulus, big-endian, without leading zeros; it may be of any size.
 * 0, or -EIO when hashing failed. */
MUST_CHECK int client_id_from_modulus(struct str modulus, struct client_id *id);

/* Exactly "C." and 16 lower-case hex digits, or -EINVAL. */
MUST_CHECK int client_id_parse(struct str text, struct client_id *id);

/* The id as the 64-bit number that its hex digits are. */
uint64_t client_id_number(const struct client_id *id);

static inline struct str client_id_str(const struct client_id *id)
{
    return str_make(id->text, CLIENT_ID_LEN);
}

/* A URN without its scheme and first slash, normalised as the protocol says: "flows/F:Foreman" for
 * "aff4:///flows/./F:Foreman/". */
struct urn {
    char text[URN_BYTES_MAX]; /* NUL-terminated */
    uint16_t len;
};

/* 0, -ENAMETOOLONG, or -EINVAL: it holds a control character, or nothing is left. */
MUST_CHECK int urn_parse(struct str text, struct urn *urn);

static inline struct str urn_str(const struct urn *urn)
{
    return str_make(urn->text, urn->len);
}

/* Who claims to have sent a packet. 0; -EINVAL: the last component is no client id in either case
 * of letters; -ENOENT: it is, but no agent can have that name (another component before it, or
 * upper-case digits: section 3). */
MUST_CHECK int client_id_from_source(struct str source, struct client_id *id);

enum wire_handler {
#define WIRE_HANDLER(id, session, name) WIRE_HANDLER_##id,
#include "wire/wire_handlers.def"
#undef WIRE_HANDLER
    WIRE_HANDLER_COUNT
};

/* "ForemanHandler"; empty for those whose messages are dropped. */
const char *wire_handler_name(enum wire_handler handler);
/* "aff4:/flows/F:Foreman" */
const char *wire_handler_session(enum wire_handler handler);

/* Whom a message is for. */
struct recipient {
    bool is_flow;              /* else a well-known handler */
    enum wire_handler handler; /* unless is_flow */
    struct client_id client;   /* with is_flow; NOT who sent it: compare (section 13) */
    char flow[FLOW_ID_BYTES_MAX + 1];
};

/* 0, or -EINVAL: the session id addresses nobody. */
MUST_CHECK int recipient_parse(struct str session_id, struct recipient *address);

#endif
