/* SPDX-License-Identifier: Apache-2.0 */
/* Members that do what they are told, well or badly, and record what they see. Each listens on a
 * port of 127.0.0.1 and serves each connection in a thread of its own. An ordinary answer names the
 * member (X-Backend: its index) and the request (X-Tag, and a body that starts with both), so a
 * client knows an answer that is another's. GET /healthz is answered 200 and not recorded. */
#ifndef PORTICO_TESTS_BACKEND_H
#define PORTICO_TESTS_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/str.h"
#include "support/recorder.h"

enum backend_behaviour {
    BACKEND_NORMAL, /* with Content-Length */
    BACKEND_CHUNKED,
    BACKEND_UNTIL_CLOSE, /* the connection's end ends the body */
    BACKEND_EARLY,       /* answers before it has read the body, and closes */
    BACKEND_INTERIM,     /* 103 first */
    BACKEND_SHORT,       /* less than it said, then the end */
    BACKEND_LONG,        /* another answer behind the first, unasked */
    BACKEND_GARBAGE,
    BACKEND_RESET_ACCEPT, /* resets a connection at once */
    BACKEND_RESET_HEAD,   /* resets when it has read the request */
    BACKEND_RESET_BODY,   /* resets in the middle of its answer */
    BACKEND_CLOSE_HEAD,   /* closes when it has read the request */
    BACKEND_HANG,         /* reads and never answers */
    BACKEND_DRIP,         /* a byte each backend_pause() */
    BACKEND_CLOSE_AFTER,  /* closes behind each answer without saying so */
    BACKEND_CLOSE_NEXT,   /* closes a kept connection when the next request comes: the race */
    BACKEND_ERROR,        /* 500 */
    BACKEND_SCRIPT,       /* backend_script() */
    BACKEND_SCRIPT_IDLE,  /* an ordinary answer, then the script's bytes while nothing is asked */
};

struct backend;
struct backends;

/* Members on `count` consecutive free ports, all of them listening, or none with `is_absent`. */
struct backends *backends_new(unsigned count, bool is_absent);
/* On all addresses, and on these very ports: for a network namespace of one's own, where nobody
 * else has any. They stay in the namespace that the calling thread is in. */
struct backends *backends_new_everywhere(unsigned count, uint16_t first);
void backends_free(struct backends *backends);
struct backend *backends_at(struct backends *backends, unsigned index);
struct recorder *backends_recorder(struct backends *backends);
uint16_t backends_first_port(const struct backends *backends);
uint16_t backends_last_port(const struct backends *backends);
void backends_behave(struct backends *backends, enum backend_behaviour behaviour);

/* From the next request on. Any thread. */
void backend_behave(struct backend *backend, enum backend_behaviour behaviour);
void backend_size(struct backend *backend, uint64_t body_bytes);  /* of answers, at least */
void backend_delay(struct backend *backend, usec_t delay);        /* before an answer */
void backend_pause(struct backend *backend, usec_t pause);        /* between dripped bytes */
void backend_announce(struct backend *backend, unsigned seconds); /* Keep-Alive: timeout=N */
/* Whether probes get what requests get. */
void backend_include_probes(struct backend *backend, bool includes);
/* What BACKEND_SCRIPT answers: copied; in pieces of `piece` bytes (0: whole), or cut in two at
 * `cut` (0: not); then the connection is closed, or kept. */
void backend_script(struct backend *backend, struct str raw, size_t piece, size_t cut, bool closes);

/* Die: the listener is closed and all connections are reset. Then live again on the same port. */
void backend_die(struct backend *backend);
void backend_live(struct backend *backend);
/* Close the listener only; connections are served on. */
void backend_refuse(struct backend *backend);

/* Since it was made. */
unsigned backend_requests(const struct backend *backend);
unsigned backend_connections(const struct backend *backend);
unsigned backend_probes(const struct backend *backend);
unsigned backend_open(struct backend *backend); /* connections that are open now */

#endif
