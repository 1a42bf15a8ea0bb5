/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP exchanges with the target, many at a time: one request out, one answer back, each within a
 * deadline. Connections are kept and used again, newest first, or made anew for each exchange;
 * there are never more than a maximum, and exchanges beyond that wait in the order they came.
 *
 * One for each thread, on its loop. */
#ifndef PORTICO_FLOOD_CLIENT_H
#define PORTICO_FLOOD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/list.h"
#include "base/str.h"
#include "fault.h"
#include "net/http1.h"
#include "net/timers.h"

struct client;
struct connection;
struct exchange;
struct loop;
struct target;
struct tls_context;

struct client_options {
    struct loop *loop;           /* borrowed, as all here */
    const struct target *target; /* one that is TLS needs `tls` */
    struct tls_context *tls;
    size_t connections_max;
    size_t answer_max;         /* bytes of one answer's body */
    unsigned number;           /* of this client in the process: spreads source addresses */
    unsigned ports_of_address; /* connections from one before the next is taken; 0: thousands */
    bool resumes;              /* TLS sessions */
};

struct client_counters {
    uint64_t connections, resumed, retried;
    uint64_t bytes_sent, bytes_received;
};

/* NULL: no memory. */
struct client *client_new(const struct client_options *options);

/* Exchanges that are under way must have been cancelled. NULL is fine. */
void client_free(struct client *client);

/* Close what is kept and idle. */
void client_hang_up(struct client *client);

const struct client_counters *client_counters(const struct client *client);

/* Called once for each exchange that was started, unless it was cancelled. With FAULT_NONE the
 * status and `answer` are there; the latter dies with this call. May start another exchange, also
 * with the same struct. Never called from within exchange_start(). */
typedef void exchange_function(struct exchange *exchange, enum fault fault);

/* Embedded in what it is for. Zeroed, then the first part filled. */
struct exchange {
    struct str head, body; /* of the request; borrowed until it is done */
    enum http1_method method;
    usec_t timeout;            /* from its start, waiting for a connection included */
    uint64_t bytes_per_second; /* that its line carries, each way; 0: all it can */
    bool is_alone;             /* on a connection of its own, closed afterwards */
    exchange_function *done;

    /* Results. */
    unsigned status;
    struct str answer;
    usec_t answered; /* on the loop's clock: when its last bytes were there */

    /* The client's own. */
    struct client *client;         /* NULL: not under way */
    struct connection *connection; /* NULL: it waits */
    struct list_link link;
    struct timer timer;
    enum fault fault; /* to be told when the timer fires; none: then it took too long */
    bool was_retried;
};

void exchange_start(struct client *client, struct exchange *exchange);

/* Its connection is closed, `done` is not called. Not under way: nothing happens. */
void exchange_cancel(struct client *client, struct exchange *exchange);

#endif
