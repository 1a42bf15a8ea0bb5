/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server of an instance, on libmicrohttpd: its threads, limits, and what is found at which
 * path. */
#ifndef PORTICO_FRONTEND_SERVER_H
#define PORTICO_FRONTEND_SERVER_H

#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "frontend.h"

struct config;
struct server;

/* Serve on the listening socket `fd`, which is taken. 0 or a negative errno with words. */
MUST_CHECK int server_start(struct frontend *frontend, const struct config *config, int fd,
                            struct server **server, struct error *error);

/* Take no new connections, finish the polls that are under way within `patience` and write what
 * they brought within another, then close all connections.
 *
 * 0; -ECANCELED: some poll did not end, it was refused; -ETIMEDOUT: the store hangs, nothing was
 * closed, and there is nothing left to do but to end the process. */
MUST_CHECK int server_stop(struct server *server, usec_t patience);

/* What an instance exports: /metrics on a socket of its own; `fd` is taken. */
struct monitor;
MUST_CHECK int monitor_start(struct frontend *frontend, int fd, struct monitor **monitor,
                             struct error *error);
void monitor_stop(struct monitor *monitor);

#endif
