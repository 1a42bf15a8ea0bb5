/* SPDX-License-Identifier: Apache-2.0 */
/* A client that sends exactly the bytes it is told to, right or wrong, and reads what comes back.
 * Reading and sending give up after 10 s. */
#ifndef PORTICO_TESTS_HTTP_CLIENT_H
#define PORTICO_TESTS_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/str.h"

struct address;

struct http_client {
    int fd;
    bool closes; /* its requests ask for the connection's end */
    struct buffer in;
};

/* Connect to a port of 127.0.0.1; aborts when nobody listens. */
void http_connect(struct http_client *client, uint16_t port);
/* 0, or a negative errno. */
int http_dial(struct http_client *client, const struct address *server);
int http_try_connect(struct http_client *client, uint16_t port);
/* From an address of this machine (NULL: any) to another one, "127.0.0.2" or "::1"; likewise. */
int http_try_connect_to(struct http_client *client, const char *source, const char *target,
                        uint16_t port);
void http_close(struct http_client *client);

/* False: the other side closed before it was all sent, which is its right. */
bool http_send(struct http_client *client, struct str bytes);
/* No more bytes will come from us. */
void http_finish(struct http_client *client);

struct http_answer {
    unsigned status;
    char *head; /* owned; as received, NUL-terminated */
    struct str body;
    bool closes; /* it said so */
};

/* Read one answer; with `is_head` to a HEAD request. False: the connection ended, or broke, before
 * a whole one. http_answer_done() it when true. */
bool http_read(struct http_client *client, bool is_head, struct http_answer *answer);
void http_answer_done(struct http_answer *answer);

/* All that comes until the connection's end, to be freed; no data when the end does not come. */
struct str http_rest(struct http_client *client);

/* The connection's end is there and no byte before it. */
bool http_is_closed(struct http_client *client);

/* A field's value, "" when it is absent; lives until this thread's next call. */
const char *http_field(const struct http_answer *answer, const char *name);

/* Send a request of this method with a body (NULL: no Content-Length either), and read. */
bool http_request(struct http_client *client, const char *method, const char *path,
                  const struct str *body, struct http_answer *answer);

/* The same on a connection of its own; the status, 0 for no answer. `answer` may be NULL. */
unsigned http_once(uint16_t port, const char *method, const char *path, const struct str *body,
                   struct http_answer *answer);

#endif
