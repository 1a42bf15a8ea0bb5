/* SPDX-License-Identifier: Apache-2.0 */
/* What an authenticated agent may send: PackedMessageList, compressed or not, MessageList,
 * messages, their receivers, and the payloads that we look into. Beyond not crashing: a message
 * that was read and written again is the same list. */
#include <errno.h>
#include <stdint.h>

#include "base/check.h"
#include "wire/envelope.h"
#include "wire/message.h"
#include "wire/name.h"
#include "wire/payload.h"
#include "wire/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_into(const struct message *message)
{
    struct status_payload status;
    struct blob_payload blob;
    struct recipient address;
    struct buffer pem;
    buffer_init(&pem, 1 << 16);
    if (payload_read_status(message->args, &status) == 0) {
        CHECK(memchr(status.error_message, '\0', sizeof status.error_message) != NULL);
    }
    if (payload_read_blob(message->args, &blob) == 0) {
        CHECK(blob.data.len <= message->args.len);
    }
    if (payload_read_csr(message->args, &pem, NULL) < 0) {
        CHECK(buffer_size(&pem) == 0);
    }
    if (recipient_parse(message->session_id, &address) == 0 && address.is_flow) {
        CHECK(address.flow[0] != '\0');
    }
    buffer_done(&pem);
}

static void check_rewritten(const struct message *message)
{
    struct message again;
    struct buffer list;
    buffer_init(&list, message->raw.len + 256);
    CHECK(message_list_append_raw(&list, message->raw) == 0);
    struct str rest = buffer_view(&list);
    CHECK(message_next(&rest, &again) == 1 && rest.len == 0);
    CHECK(str_equal(message->raw, again.raw) && again.defect == message->defect);
    buffer_clear(&list);
    CHECK(message_list_append(&list, message) == 0);
    rest = buffer_view(&list);
    CHECK(message_next(&rest, &again) == 1 && rest.len == 0);
    CHECK(str_equal(message->session_id, again.session_id));
    CHECK(str_equal(message->args, again.args));
    CHECK(message->response_id == again.response_id && message->type == again.type);
    buffer_done(&list);
}

static void read_list(struct str list)
{
    const struct message_limits limits = {.count = 100, .bytes = 10000};
    struct message message;
    uint32_t count;
    enum wire_reason reason = WIRE_NO_REASON;
    int error = message_list_check(list, &limits, &count, &reason);
    CHECK((error < 0) == (reason != WIRE_NO_REASON));
    if (error < 0) {
        return;
    }
    int more;
    while ((more = message_next(&list, &message)) > 0) {
        CHECK(count-- > 0);
        look_into(&message);
        check_rewritten(&message);
    }
    CHECK(more == 0 && count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct zip *zip;
    const struct zip_limits limits = {.bytes = 1 << 16, .ratio = 50, .free_bytes = 1 << 12};
    struct str bytes = str_make((const char *)data, size);
    struct packed_list packed;
    enum wire_reason reason;
    if (zip == NULL) {
        CHECK(zip_new(&zip) == 0);
    }
    if (packed_list_decode(bytes, &packed, &reason) < 0) {
        read_list(bytes);
        return 0;
    }
    if (packed.compression == UNCOMPRESSED) {
        read_list(packed.message_list);
        return 0;
    }
    struct buffer inflated;
    buffer_init(&inflated, 1 << 18);
    if (zip_inflate(zip, packed.message_list, &limits, &inflated, &reason) == 0) {
        read_list(buffer_view(&inflated));
    }
    buffer_done(&inflated);
    return 0;
}
