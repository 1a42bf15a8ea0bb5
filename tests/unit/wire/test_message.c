/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: bytes kept, defaults, defects that cost one message and not the packet. */
#include <criterion/criterion.h>
#include <errno.h>

#include "wire/message.h"

Test(message, unknown_fields_stay_in_its_bytes)
{
    struct str raw = STR("\xfa\x7f\x03odd\x0a\x03"
                         "a/b");
    struct message message;
    cr_assert_eq(message_decode(raw, &message), 0);
    cr_expect(str_equal(message.raw, raw));
    cr_expect(str_equal(message.session_id, STR("a/b")));
    cr_expect_eq(message.defect, MESSAGE_FINE);
}

Test(message, absent_fields_have_the_protocols_defaults)
{
    struct message message;
    cr_assert_eq(message_decode(STR("\x0a\x01x"), &message), 0);
    cr_expect_eq(message.ttl, 10);
    cr_expect(message.require_fastpoll);
    cr_expect_eq(message.type, MESSAGE_RESPONSE);
    cr_expect_not(message.has_response_id);
    cr_expect_null(message.args.data);
}

Test(message, defects_are_told_but_not_fatal)
{
    static const struct {
        struct str raw;
        enum message_defect defect;
    } cases[] = {
        {STR("\x10\x01"), MESSAGE_NO_SESSION},
        {STR("\x0a\x00\x10\x01"), MESSAGE_NO_SESSION},
        {STR("\x0a\x01x\x40\x01"), MESSAGE_STATUS_WITHOUT_ARGS},
        {STR("\x0a\x01x\x40\x01\x2a\x00"), MESSAGE_FINE},
        {STR("\x0a\x01x\x40\x03"), MESSAGE_UNKNOWN_TYPE},
        {STR("\x0a\x01x\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), MESSAGE_UNKNOWN_TYPE},
        {STR("\x0a\x02x\xff"), MESSAGE_BAD_TEXT},
        {STR("\x0a\x01x\x72\x01\xc0"), MESSAGE_BAD_TEXT},
        {STR(""), MESSAGE_NO_SESSION},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct message message;
        cr_assert_eq(message_decode(cases[i].raw, &message), 0);
        cr_expect_eq(message.defect, cases[i].defect, "case %zu: %s", i,
                     message_defect_code(message.defect));
    }
}

Test(message, wrong_types_break_the_list)
{
    struct message message;
    uint32_t count = 7;
    enum wire_reason reason;
    const struct message_limits limits = MESSAGE_LIMITS_DEFAULT;
    cr_expect_eq(message_decode(STR("\x08\x01"), &message), -EBADMSG);
    cr_expect_eq(message_decode(STR("\x12\x01x"), &message), -EBADMSG);
    cr_expect_eq(message_list_check(STR("\x08\x01"), &limits, &count, &reason), -EBADMSG);
    cr_expect_eq(reason, WIRE_REASON_MESSAGE_LIST);
    cr_expect_eq(count, 7, "untouched");
}

Test(message, lists_are_read_in_order_past_unknown_fields)
{
    struct str list = STR("\x0a\x02\x10\x01\x12\x03new\x0a\x02\x10\x02");
    struct message message;
    cr_assert_eq(message_next(&list, &message), 1);
    cr_expect_eq(message.request_id, 1);
    cr_assert_eq(message_next(&list, &message), 1);
    cr_expect_eq(message.request_id, 2);
    cr_assert_eq(message_next(&list, &message), 0);
}

Test(message, what_is_appended_reads_the_same)
{
    struct buffer list;
    struct message found;
    const struct message message = {
        .session_id = STR("aff4:/C.0123456789abcdef/F:1"),
        .name = STR("Echo"),
        .args = STR(""),
        .args_type = STR("GrrStatus"),
        .queue = STR("q"),
        .request_id = UINT64_MAX,
        .response_id = 0,
        .task_id = 5,
        .type = MESSAGE_STATUS,
        .ttl = 1,
        .has_request_id = true,
        .has_response_id = true,
        .has_task_id = true,
        .has_type = true,
        .has_ttl = true,
        .has_require_fastpoll = true,
    };
    buffer_init(&list, 1024);
    cr_assert_eq(message_list_append(&list, &message), 0);
    struct str rest = buffer_view(&list);
    cr_assert_eq(message_next(&rest, &found), 1);
    cr_expect(str_equal(found.session_id, message.session_id));
    cr_expect(found.args.data != NULL && found.args.len == 0);
    cr_expect_eq(found.request_id, UINT64_MAX);
    cr_expect(found.has_response_id && found.response_id == 0);
    cr_expect_eq(found.type, MESSAGE_STATUS);
    cr_expect_eq(found.ttl, 1);
    cr_expect_not(found.require_fastpoll);
    cr_expect_eq(found.defect, MESSAGE_FINE);
    buffer_done(&list);
}
