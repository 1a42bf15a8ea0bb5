/* SPDX-License-Identifier: Apache-2.0 */
/* The few payloads that we look into (section 2). All others are stored as they came. Any thread.
 */
#ifndef PORTICO_WIRE_PAYLOAD_H
#define PORTICO_WIRE_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/compiler.h"
#include "base/str.h"
#include "wire/envelope.h"
#include "wire/reason.h"

/* Append the signing request (PEM) of an Enrol message's args to `pem`. 0, or -EBADMSG, -ENOMEM
 * with *reason: WIRE_REASON_ENROL_PAYLOAD, _ENROL_TYPE (it is no CSR), _NO_MEMORY. */
MUST_CHECK int payload_read_csr(struct str args, struct buffer *pem, enum wire_reason *reason);

/* Append the args of an Enrol message; their type is "Certificate". 0, -ENOBUFS or -ENOMEM. */
MUST_CHECK int payload_write_csr(struct str pem, struct buffer *args);

/* GrrStatus, "GrrStatus". */
enum status_code {
    STATUS_OK = 0,
    STATUS_IOERROR = 1,
    STATUS_RETRANSMISSION = 2,
    STATUS_CLIENT_KILLED = 3,
    STATUS_NETWORK_LIMIT = 4,
    STATUS_RUNTIME_LIMIT = 5,
    STATUS_CPU_LIMIT = 6,
    STATUS_WORKER_STUCK = 9,
    STATUS_GENERIC_ERROR = 10,
};

struct status_payload {
    uint32_t code;           /* enum status_code, or one that we do not know */
    char error_message[512]; /* cut when longer */
    double user_cpu_seconds, system_cpu_seconds;
    uint64_t network_bytes_sent;
    uint64_t runtime_us;
};

/* 0, -EBADMSG (no GrrStatus) or -ENOMEM. */
MUST_CHECK int payload_read_status(struct str args, struct status_payload *status);
/* 0, -ENOBUFS or -ENOMEM. */
MUST_CHECK int payload_write_status(const struct status_payload *status, struct buffer *args);

/* DataBlob, as far as blobs go. `data` is a view, large as it may be; without data: absent. */
struct blob_payload {
    struct str data;
    enum compression compression;
};

/* 0, or -EBADMSG: no DataBlob, or an unknown compression. */
MUST_CHECK int payload_read_blob(struct str args, struct blob_payload *blob);

#endif
