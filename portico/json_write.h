/* SPDX-License-Identifier: Apache-2.0 */
/* Writing JSON (RFC 8259) to a stream, piece by piece, so that lists of any length need no memory.
 * Output errors stay in the stream: look at ferror(). Owned by the command that prints; its thread.
 */
#ifndef PORTICO_COMMAND_JSON_WRITE_H
#define PORTICO_COMMAND_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"

enum { JSON_DEPTH_MAX = 8 };

struct json_writer {
    FILE *out; /* borrowed */
    unsigned depth;
    bool has_items[JSON_DEPTH_MAX];
};

void json_begin(struct json_writer *json, FILE *out);

/* `key` is a literal that needs no escaping; NULL inside arrays and for the outermost value. What
 * is directly in the outermost array stands on a line of its own. */
void json_open(struct json_writer *json, const char *key, char bracket); /* '[' or '{' */
void json_close(struct json_writer *json, char bracket);                 /* ']' or '}' */

/* Bytes that are no UTF-8 become the code point of the same number, as in the log; what a terminal
 * would obey is escaped. */
void json_put_str(struct json_writer *json, const char *key, struct str text);
/* null when empty. */
void json_put_known(struct json_writer *json, const char *key, struct str text);
void json_put_hex(struct json_writer *json, const char *key, struct str bytes);
void json_put_uint(struct json_writer *json, const char *key, uint64_t number);
/* A point in time, or null where it is 0, unknown. */
void json_put_time(struct json_writer *json, const char *key, usec_t time);
void json_put_bool(struct json_writer *json, const char *key, bool value);
void json_put_null(struct json_writer *json, const char *key);

#endif
