/* SPDX-License-Identifier: Apache-2.0 */
/* A member whose every word is written by the test: for what tests/support/backend cannot do. One
 * connection after the other, in a thread of its own; probes are answered. */
#ifndef PORTICO_TESTS_ODD_MEMBER_H
#define PORTICO_TESTS_ODD_MEMBER_H

#include <stdint.h>

#include "base/str.h"

struct odd_member;

/* Answer a request on `fd`, of which only the head was read, and some bytes behind it. */
typedef void odd_member_function(int fd, struct str head);

/* Listens on this port of 127.0.0.1 until it is freed. */
struct odd_member *odd_member_new(uint16_t port, odd_member_function *serve);
void odd_member_free(struct odd_member *odd); /* NULL is fine */

/* All of it, or nothing more when the other side is gone. */
void odd_member_say(int fd, struct str bytes);

#endif
