/* SPDX-License-Identifier: Apache-2.0 */
/* How slow peers may be. libmicrohttpd 0.9.75 ends connections on which nothing happens, and
 * nothing else: a byte now and then keeps one for ever. So each connection is watched by a thread
 * that looks every half second and sends away who takes too long for a head, sends a body or takes
 * an answer too slowly; and, when connections get scarce, who has been idle for longest. */
#ifndef PORTICO_FRONTEND_PACE_H
#define PORTICO_FRONTEND_PACE_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"

struct error;
struct pace;
struct stats;

struct pace_settings {
    usec_t head_timeout; /* for a whole head; bodies and answers are measured over as long */
    uint64_t min_rate;   /* bytes per second of bodies and answers; 0: any */
    unsigned connection_limit;
    struct stats *stats; /* borrowed */
};

/* What a connection is doing, and so whose fault it is when that takes long. */
enum pace_phase {
    PACE_IDLE,   /* nothing, or sending a head */
    PACE_BODY,   /* sending a body */
    PACE_WORK,   /* waiting for us */
    PACE_ANSWER, /* taking an answer */
    PACE_GONE,   /* was sent away; libmicrohttpd does not know yet */
};

/* 0, or a negative errno. */
MUST_CHECK int pace_start(const struct pace_settings *settings, struct pace **pace,
                          struct error *error);
/* No connection may be left. NULL is fine. */
void pace_stop(struct pace *pace);

/* For MHD_OPTION_NOTIFY_CONNECTION; the context is the pace. */
void pace_notify(void *context, struct MHD_Connection *connection, void **socket_context,
                 enum MHD_ConnectionNotificationCode code);

/* The connection goes on to that phase; on its libmicrohttpd thread only. False: the peer was sent
 * away already, answer with MHD_NO. Costs two atomic operations and no look at the clock. */
bool pace_enter(struct MHD_Connection *connection, enum pace_phase phase);

#endif
