/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as section 8 says, and the payloads that we look into. */
#include <criterion/criterion.h>
#include <errno.h>

#include "wire/field.h"
#include "wire/message.h"
#include "wire/payload.h"
#include "wire/request.h"

Test(request, holds_the_fields_that_agents_expect_and_no_others)
{
    static const uint32_t expected[] = {1, 2, 4, 12, 15, 17, 21};
    static const uint32_t with_all[] = {1, 2, 4, 5, 12, 14, 15, 17, 21, 23};
    struct request request = {
        .client = {"C.0123456789abcdef"},
        .flow = STR("F:1"),
        .request_id = 1,
        .action = STR("Echo"),
        .cpu_limit_ms = 5397613,
        .network_bytes_limit = REQUEST_NETWORK_BYTES_LIMIT,
        .task_id = 1,
    };
    for (int all = 0; all < 2; all++) {
        struct buffer list;
        struct message message;
        struct field field;
        size_t n = 0;
        buffer_init(&list, 4096);
        if (all) {
            request.args = STR("");
            request.args_type = STR("EchoRequest");
            request.runtime_limit_us = 601000000;
        }
        cr_assert_eq(request_append(&list, &request), 0);
        struct str rest = buffer_view(&list);
        cr_assert_eq(message_next(&rest, &message), 1);
        cr_expect(str_equal(message.session_id, STR("aff4:/C.0123456789abcdef/F:1")));
        cr_expect(str_equal(message.queue, STR("aff4:/C.0123456789abcdef")));
        rest = message.raw;
        while (field_next(&rest, &field) > 0) {
            cr_assert_eq(field.number, all ? with_all[n] : expected[n]);
            if (field.number == 12) {
                cr_expect_eq(field.value, 0x45a8ace7, "seconds as a float: %lx", field.value);
            }
            n++;
        }
        cr_expect_eq(n, all ? ARRAY_LEN(with_all) : ARRAY_LEN(expected));
        buffer_done(&list);
    }
}

Test(request, task_ids_are_time_above_a_counter_and_never_zero)
{
    cr_expect_eq(request_task_id(1000, 5), (uint64_t)1 << 32 | 5);
    cr_expect_eq(request_task_id((usec_t)0x20000001 * 1000, 0), (uint64_t)1 << 32);
    cr_expect_eq(request_task_id(0, 0), 1);
    cr_expect_eq(request_counter_step(0), 1);
    cr_expect_eq(request_counter_step(65535), 65535);
}

Test(payload, status_comes_back)
{
    struct buffer args;
    struct status_payload status = {.code = STATUS_GENERIC_ERROR,
                                    .error_message = "no such file",
                                    .user_cpu_seconds = 0.5,
                                    .system_cpu_seconds = 0.25,
                                    .network_bytes_sent = 7,
                                    .runtime_us = 8};
    struct status_payload found;
    buffer_init(&args, 4096);
    cr_assert_eq(payload_write_status(&status, &args), 0);
    cr_assert_eq(payload_read_status(buffer_view(&args), &found), 0);
    cr_expect_eq(found.code, STATUS_GENERIC_ERROR);
    cr_expect_str_eq(found.error_message, "no such file");
    cr_expect_eq(found.user_cpu_seconds, 0.5);
    cr_expect_eq(found.system_cpu_seconds, 0.25);
    cr_expect_eq(found.network_bytes_sent, 7);
    cr_expect_eq(found.runtime_us, 8);
    cr_expect_eq(payload_read_status(STR("\xff"), &found), -EBADMSG);
    cr_expect_eq(payload_read_status(str_make(NULL, 0), &found), -EBADMSG);
    buffer_done(&args);
}

Test(payload, only_signing_requests_enrol)
{
    struct buffer pem;
    enum wire_reason reason;
    buffer_init(&pem, 300);
    cr_expect_eq(payload_read_csr(STR("\x08\x01\x12\x01x"), &pem, &reason), -EBADMSG);
    cr_expect_eq(reason, WIRE_REASON_ENROL_TYPE);
    cr_expect_eq(payload_read_csr(STR("\x08"), &pem, &reason), -EBADMSG);
    cr_expect_eq(reason, WIRE_REASON_ENROL_PAYLOAD);
    cr_expect_eq(payload_read_csr(STR("\x08\x00"), &pem, &reason), -EBADMSG);
    cr_expect_eq(reason, WIRE_REASON_ENROL_PAYLOAD);
    cr_assert_eq(payload_read_csr(STR("\x08\x00\x12\x01x"), &pem, &reason), 0);
    cr_expect(str_equal(buffer_view(&pem), STR("x")));
    buffer_done(&pem);
}

Test(payload, blobs_are_read_in_place)
{
    struct blob_payload blob;
    cr_assert_eq(payload_read_blob(STR("\x12\x03"
                                       "abc\x38\x01"),
                                   &blob),
                 0);
    cr_expect(str_equal(blob.data, STR("abc")));
    cr_expect_eq(blob.compression, ZCOMPRESSION);
    cr_assert_eq(payload_read_blob(STR(""), &blob), 0);
    cr_expect_null(blob.data.data);
    cr_expect_eq(payload_read_blob(STR("\x38\x02"), &blob), -EBADMSG);
    cr_expect_eq(payload_read_blob(STR("\x10\x02"), &blob), -EBADMSG);
}
