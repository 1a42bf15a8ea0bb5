/* SPDX-License-Identifier: Apache-2.0 */
/* What the admin socket and the admin listener have in common: a few bounded connections on the
 * control thread's loop that bring requests, get answers, perhaps later, and never hold up the
 * loop. What a request is, and how an answer looks, is the protocol's. The control thread. */
#ifndef PORTICO_BALANCER_ADMIN_SERVER_H
#define PORTICO_BALANCER_ADMIN_SERVER_H

#include "admin_command.h"
#include "base/list.h"
#include "net/loop.h"

struct admin_server;
struct admin_stream;

enum admin_take {
    ADMIN_TAKEN, /* a request was taken off `in`, and answered or begun */
    ADMIN_MORE,  /* the rest of it has not come */
};

struct admin_protocol {
    const char *name; /* for the log */
    size_t in_max;    /* bytes of a request that are held */
    size_t streams_max;
    usec_t idle_time; /* between requests */
    usec_t step_time; /* for the whole of a request, and between two bits of an answer */
    struct str busy;  /* said to who is one too many */
    enum admin_take (*take)(struct admin_stream *stream);
    /* Of the command that take() began with admin_stream_call(). */
    void (*answered)(struct admin_stream *stream, const struct admin_answer *answer);
};

enum admin_phase { ADMIN_IDLE, ADMIN_REQUEST, ADMIN_ANSWER };

/* One connection. take() and answered() use the first part. */
struct admin_stream {
    struct balancer *balancer;
    void *context;     /* of the server */
    struct buffer in;  /* what has come and was not taken */
    struct buffer out; /* what is to be written */
    bool has_ended;    /* the peer sends nothing more */
    bool is_closing;   /* once `out` is written */
    bool is_head;      /* HTTP: answer without body */
    bool keep_alive;   /* HTTP: further requests are welcome */
    bool is_page;      /* HTTP: the call under way is for the status page */

    /* The server's own. */
    struct list_link link;
    struct garbage garbage;
    struct watch watch;
    struct timer deadline, again;
    struct admin_server *server;
    struct admin_call *call;
    enum admin_phase phase;
    bool is_calling, is_lingering, is_closed;
};

/* Serve at the listening descriptor, which is taken even on failure. `protocol` is borrowed for
 * good, `context` for the protocol's functions. NULL with words. */
struct admin_server *admin_server_new(struct balancer *balancer, int fd,
                                      const struct admin_protocol *protocol, void *context,
                                      struct error *error);
/* Closes everything; who waits for an answer gets none. Not from within a callback of it. */
void admin_server_free(struct admin_server *server);
int admin_server_fd(const struct admin_server *server);

/* Have the command run; answered() tells when it is done, perhaps before this returns. */
void admin_stream_call(struct admin_stream *stream, struct str command);

/* The same for the status page. */
void admin_stream_call_page(struct admin_stream *stream, const struct history *history);

/* Append to `out`; without memory the connection ends. */
void admin_stream_put(struct admin_stream *stream, struct str bytes);

#endif
