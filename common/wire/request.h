/* SPDX-License-Identifier: Apache-2.0 */
/* What a server asks of an agent (section 8). Pure functions, any thread. */
#ifndef PORTICO_WIRE_REQUEST_H
#define PORTICO_WIRE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/str.h"
#include "wire/name.h"

struct request {
    struct client_id client;
    struct str flow; /* its id, 1 to FLOW_ID_BYTES_MAX bytes (CHECKed) */
    uint64_t request_id;
    struct str action; /* "ListDirectory" */
    struct str args;   /* serialised payload; without data: none, then args_type does not count */
    struct str args_type; /* its class, "ListDirRequest" */
    uint64_t cpu_limit_ms;
    uint64_t network_bytes_limit;
    uint64_t runtime_limit_us; /* 0: none */
    uint64_t task_id;          /* request_task_id() */
};

/* What is not said otherwise. */
enum { REQUEST_CPU_LIMIT_MS = 3600000 };
#define REQUEST_NETWORK_BYTES_LIMIT ((uint64_t)10 << 30)

/* The number that an agent repeats in its answers: milliseconds of the wall clock above, a counter
 * below. The counter is the caller's, to be advanced by request_counter_step() each time. Never 0,
 * which old agents refuse. */
uint64_t request_task_id(usec_t now, uint32_t counter);

/* 1 to 65535 out of 16 random bits. */
uint32_t request_counter_step(uint16_t random);

/* Append to a MessageList. 0, -ENOBUFS or -ENOMEM; all of it or nothing. */
MUST_CHECK int request_append(struct buffer *list, const struct request *request);

#endif
