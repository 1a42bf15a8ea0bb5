/* SPDX-License-Identifier: Apache-2.0 */
/* Balancer.hosts: what stands there, and the places of members that come of it once the names are
 * known. Pure; any thread. */
#ifndef PORTICO_BALANCER_HOSTS_H
#define PORTICO_BALANCER_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "config/config.h"
#include "range.h"

enum {
    HOST_NAME_SIZE = 104, /* so that HOST:PORT fits a member's name */
    HOST_ADDRESSES_MAX = 64,
    MEMBERS_MAX = 4096, /* of a range */
};

struct host {
    char name[HOST_NAME_SIZE]; /* without brackets */
    struct address address;    /* len 0: the name must be looked up */
    uint16_t first, last;      /* ports */
};

struct host_list {
    struct host *items; /* owned */
    size_t count;
    struct address here; /* how the instances of this machine are reached */
    usec_t interval;     /* between two look-ups */
};

/* From Balancer.hosts, Balancer.resolve_interval and the Frontend range. An entry is a name or an
 * address; "HOST:PORT" and "[ADDRESS]:PORT" mean this port only. "localhost" is this machine: the
 * address to which instances bind, 127.0.0.1 when that is a wildcard.
 *
 * 0; -EINVAL with words: an entry is malformed, or there are more than MEMBERS_MAX members;
 * -ENOMEM. End it with host_list_done() when 0. */
MUST_CHECK int host_list_read(const struct config *config, struct host_list *hosts,
                              struct error *error);
void host_list_done(struct host_list *hosts);

/* What is known of a name. */
struct lookup {
    char name[HOST_NAME_SIZE];
    int code; /* of the last try: 0 or what getaddrinfo() says */
    unsigned count;
    struct address addresses[HOST_ADDRESSES_MAX]; /* ports are 0 */
};

/* Bring the addresses of an answer into the one form that is compared and used: sorted, since name
 * servers rotate them; each once; IPv4 only when there is any, for a machine that has both would
 * count twice; and only `here` when all are of the loopback. */
void lookup_settle(struct lookup *lookup, const struct address *here);

struct places {
    size_t count;
    size_t duplicates;     /* that were left out */
    size_t excess;         /* beyond MEMBERS_MAX, left out as well */
    const char *duplicate; /* the name of the first one; lives as long as the places */
    struct range_place items[];
};

/* All hosts times their ports. A host that is not among `known` has no places. A member is named
 * HOST:PORT as it was configured, ADDRESS:PORT when its name has several addresses: these are
 * several machines. NULL when there is no memory; free with places_free(). */
struct places *places_new(const struct host_list *hosts, const struct lookup *known,
                          size_t known_count);
void places_free(struct places *places);
/* The same addresses under the same names in the same order. */
bool places_equal(const struct places *a, const struct places *b);

#endif
