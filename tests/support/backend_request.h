/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as a member reads them from its connection: the bytes as they are, framed as an origin
 * server would. Blocking. */
#ifndef PORTICO_TESTS_BACKEND_REQUEST_H
#define PORTICO_TESTS_BACKEND_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "support/recorder.h"

struct request_reader {
    int fd;
    uint64_t connection;
    struct buffer in;
};

void request_reader_init(struct request_reader *reader, int fd, uint64_t connection);
void request_reader_done(struct request_reader *reader);

/* A head; false: the connection ended. What it allocates is the caller's. */
bool request_read_head(struct request_reader *reader, struct recorded *request);
/* The body behind it, by Content-Length or in chunks; request->is_complete says how it ended. */
void request_read_body(struct request_reader *reader, struct recorded *request);

#endif
