/* SPDX-License-Identifier: Apache-2.0 */
/* One question to a server: connect, write it, read the answer up to the end of the connection. For
 * HTTP with "Connection: close" as well as for a line to an admin socket, which is told that no
 * further one comes. Owned by the loop's thread. */
#ifndef PORTICO_COMMAND_ASK_H
#define PORTICO_COMMAND_ASK_H

#include "base/str.h"
#include "net/address.h"
#include "net/loop.h"

enum { ASK_QUESTION_MAX = 256, ASK_ANSWER_MAX = 1 << 20 };

struct ask;

enum ask_outcome {
    ASK_ANSWERED, /* up to the end of the connection, perhaps nothing */
    ASK_NOBODY,   /* nobody listens there */
    ASK_FAILED,   /* it took too long, broke, or was too much */
};

/* The answer lives for the time of the call. */
typedef void ask_function(void *context, enum ask_outcome outcome, struct str answer);

/* `done` is called once, from a later turn of the loop, at the latest after `patience`; then the
 * ask is gone. NULL: no memory, and it will not be called. */
struct ask *ask_start(struct loop *loop, const struct address *to, struct str question,
                      usec_t patience, ask_function *done, void *context);

/* Forget it; `done` is not called. Not after it was. NULL is fine. */
void ask_free(struct ask *ask);

#endif
