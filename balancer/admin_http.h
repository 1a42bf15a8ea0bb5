/* SPDX-License-Identifier: Apache-2.0 */
/* The admin listener: /status.json, /metrics, /healthz and the status page, over plain
 * HTTP. It only tells; whoever wants to change something needs the admin socket. The control
 * thread. */
#ifndef PORTICO_BALANCER_ADMIN_HTTP_H
#define PORTICO_BALANCER_ADMIN_HTTP_H

#include "base/compiler.h"
#include "base/error.h"
#include "net/address.h"

struct admin_http;
struct balancer;

enum { ADMIN_HTTP_CONNECTIONS = 32 };

/* Listens at `address` (port 0: any free one) and serves on balancer_loop(). NULL with words. */
struct admin_http *admin_http_new(struct balancer *balancer, const struct address *address,
                                  struct error *error);
void admin_http_free(struct admin_http *http);

/* Where it listens. 0 or a negative errno. */
MUST_CHECK int admin_http_address(const struct admin_http *http, struct address *address);

#endif
