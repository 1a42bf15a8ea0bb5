/* SPDX-License-Identifier: Apache-2.0 */
/* A server for agents that has its own ideas of the truth, on a thread of its own. It knows what it
 * did, so that tests can hold what the generator saw against it. Failures of the machine abort. */
#ifndef PORTICO_TESTS_FLOOD_SERVER_H
#define PORTICO_TESTS_FLOOD_SERVER_H

#include <stdint.h>

#include "base/clock.h"
#include "base/str.h"
#include "histogram.h"
#include "identities.h"

enum lie {
    LIE_NONE,
    LIE_NONCE,     /* answers to another poll */
    LIE_SIGNATURE, /* a cipher that another key signed */
    LIE_HMAC,
    LIE_REPLAY, /* after the first answer to an agent, that one again */
    LIE_CUT,    /* ends within the answer */
    LIE_SOURCE, /* says to be somebody else */
    LIE_GARBAGE,
    LIE_REFUSAL,  /* 503 */
    LIE_STRANGER, /* 406, whatever is asked */
    /* Every /server.pem but the first: */
    LIE_PAGE_SIGNER, /* signed by itself */
    LIE_PAGE_DATES,  /* expired */
    LIE_PAGE_SERIAL, /* serial number 1, after 2 */
    LIE_PAGE_KEY,    /* of another key */
    LIE_PAGE_GARBAGE,
    LIE_PAGE_RENEWED /* no lie: serial number 3, the same key */
};

struct flood_server;

struct flood_server_options {
    const struct identities *identities; /* of the agents; borrowed; at most 64 are known */
    enum lie lie;
    usec_t delay;       /* before each answer */
    usec_t first_delay; /* before the first one; 0: as the others */
    bool asks;          /* each agent once: to do something */
    unsigned rate;      /* polls per second; more are refused with 503, but for `burst`. 0: any */
    unsigned burst;
};

struct flood_server *flood_server_start(const struct flood_server_options *options);
/* Ends it, connections included. */
void flood_server_stop(struct flood_server *server);

/* The PEM of who signs its certificates; dies with the server. */
struct str flood_server_authority(const struct flood_server *server);
uint16_t flood_server_port(const struct flood_server *server);

/* Polls that were answered, and how long that took from the last byte read to the first written.
 * Once the generator is done. */
const struct histogram *flood_server_delays(const struct flood_server *server);
/* Messages that came with polls. */
unsigned flood_server_messages(const struct flood_server *server);

#endif
