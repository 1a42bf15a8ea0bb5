/* SPDX-License-Identifier: Apache-2.0 */
/* The few payloads that we look into, section 2. Small and rare ones go through protobuf-c, which
 * copies; blobs, which may be 40 MB, are read in place. Any thread. */
#include "wire/payload.h"

#include <errno.h>
#include <stdio.h>

#include "payload.pb-c.h"
#include "wire/field.h"

/* protobuf-c takes several times the input; what is larger is no such payload. */
enum { PAYLOAD_BYTES_MAX = 1 << 20 };

static int copy_csr(const Wire__Certificate *certificate, struct buffer *pem,
                    enum wire_reason *reason)
{
    /* Section 9: an absent type is CSR, the first value. */
    if (certificate->has_type && certificate->type != WIRE__CERTIFICATE__TYPE__CSR) {
        return wire_refuse(reason, WIRE_REASON_ENROL_TYPE);
    }
    if (!certificate->has_pem) {
        return wire_refuse(reason, WIRE_REASON_ENROL_PAYLOAD);
    }
    struct str text = str_make((const char *)certificate->pem.data, certificate->pem.len);
    int error = buffer_append(pem, text);
    if (error < 0) {
        return wire_refuse(reason,
                           error == -ENOMEM ? WIRE_REASON_NO_MEMORY : WIRE_REASON_ENROL_PAYLOAD);
    }
    return 0;
}

int payload_read_csr(struct str args, struct buffer *pem, enum wire_reason *reason)
{
    Wire__Certificate *certificate = NULL;
    if (args.data != NULL && args.len <= PAYLOAD_BYTES_MAX) {
        certificate = wire__certificate__unpack(NULL, args.len, (const uint8_t *)args.data);
    }
    if (certificate == NULL) {
        return wire_refuse(reason, WIRE_REASON_ENROL_PAYLOAD);
    }
    int error = copy_csr(certificate, pem, reason);
    wire__certificate__free_unpacked(certificate, NULL);
    return error;
}

int payload_write_csr(struct str pem, struct buffer *args)
{
    int error = field_put_uint64(args, 1, WIRE__CERTIFICATE__TYPE__CSR);
    return error < 0 ? error : field_put_bytes(args, 2, pem);
}

static void copy_status(const Wire__GrrStatus *from, struct status_payload *status)
{
    *status = (struct status_payload){.code = from->status};
    if (from->error_message != NULL) {
        snprintf(status->error_message, sizeof status->error_message, "%s", from->error_message);
    }
    if (from->cpu_time_used != NULL) {
        status->user_cpu_seconds = (double)from->cpu_time_used->user_cpu_time;
        status->system_cpu_seconds = (double)from->cpu_time_used->system_cpu_time;
    }
    status->network_bytes_sent = from->network_bytes_sent;
    status->runtime_us = from->runtime_us;
}

int payload_read_status(struct str args, struct status_payload *status)
{
    Wire__GrrStatus *found = NULL;
    if (args.data != NULL && args.len <= PAYLOAD_BYTES_MAX) {
        found = wire__grr_status__unpack(NULL, args.len, (const uint8_t *)args.data);
    }
    if (found == NULL) {
        return -EBADMSG;
    }
    copy_status(found, status);
    wire__grr_status__free_unpacked(found, NULL);
    return 0;
}

int payload_write_status(const struct status_payload *status, struct buffer *args)
{
    Wire__CpuSeconds cpu = WIRE__CPU_SECONDS__INIT;
    Wire__GrrStatus packed = WIRE__GRR_STATUS__INIT;
    char message[sizeof status->error_message];
    snprintf(message, sizeof message, "%s", status->error_message);
    cpu.has_user_cpu_time = cpu.has_system_cpu_time = 1;
    cpu.user_cpu_time = (float)status->user_cpu_seconds;
    cpu.system_cpu_time = (float)status->system_cpu_seconds;
    packed.has_status = packed.has_network_bytes_sent = packed.has_runtime_us = 1;
    packed.status = status->code;
    packed.error_message = message[0] == '\0' ? NULL : message;
    packed.cpu_time_used = &cpu;
    packed.network_bytes_sent = status->network_bytes_sent;
    packed.runtime_us = status->runtime_us;
    size_t size = wire__grr_status__get_packed_size(&packed);
    int error = buffer_reserve(args, size);
    if (error == 0) {
        wire__grr_status__pack(&packed, (uint8_t *)buffer_tail(args));
        buffer_commit(args, size);
    }
    return error;
}

int payload_read_blob(struct str args, struct blob_payload *blob)
{
    struct blob_payload found = {.compression = UNCOMPRESSED};
    uint64_t compression = UNCOMPRESSED;
    struct field field;
    int more;
    while ((more = field_next(&args, &field)) > 0) {
        if ((field.number == 2 && field_bytes(&field, &found.data) < 0) ||
            (field.number == 7 && field_uint64(&field, &compression) < 0)) {
            return -EBADMSG;
        }
    }
    if (more < 0 || compression > ZCOMPRESSION) {
        return -EBADMSG;
    }
    found.compression = (enum compression)compression;
    *blob = found;
    return 0;
}
