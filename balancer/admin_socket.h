/* SPDX-License-Identifier: Apache-2.0 */
/* The admin socket: commands, a line each, over a unix socket that the group may use. An answer
 * ends with an empty line; one that begins with "error: " (or {"error":) is a failure. The control
 * thread. */
#ifndef PORTICO_BALANCER_ADMIN_SOCKET_H
#define PORTICO_BALANCER_ADMIN_SOCKET_H

#include "base/error.h"

struct admin_socket;
struct balancer;

enum { ADMIN_SOCKET_CONNECTIONS = 16 };

/* Serves on balancer_loop(). NULL with words. */
struct admin_socket *admin_socket_new(struct balancer *balancer, const char *path,
                                      struct error *error);
/* Removes the file, too. Not from within a command. */
void admin_socket_free(struct admin_socket *admin);

#endif
