/* SPDX-License-Identifier: Apache-2.0 */
/* From stored requests to the packet that an agent reads. */
#include <criterion/criterion.h>
#include <errno.h>

#include "handout.h"
#include "support/parties.h"
#include "wire/message.h"

static struct parties parties;
static struct sealing sealing;
static struct session session;
static struct bundle bundle;
static struct buffer out;

static void set_up(void)
{
    enum wire_reason reason;
    parties_init(&parties);
    bundle_init(&bundle, &parties.limits);
    buffer_init(&out, 1 << 20);
    cr_assert_eq(sealing_make(&parties.tools, parties.server, parties.agent, STR("grr"),
                              PARTIES_NOW, &sealing, &reason),
                 0);
}

static void tear_down(void)
{
    bundle_done(&bundle);
    buffer_done(&out);
    parties_done(&parties);
}

TestSuite(handout, .init = set_up, .fini = tear_down);

/* Write an answer with these requests and open it as the agent does. */
static int hand_out(const struct store_request *requests)
{
    const struct handout handout = {.requests = requests,
                                    .client = rsa_key_client_id(parties.agent),
                                    .nonce = 4711,
                                    .now = PARTIES_NOW};
    const struct answer_expectation expectation = {
        .own = parties.agent, .server = parties.server, .server_name = STR("grr"), .nonce = 4711};
    enum wire_reason reason = WIRE_NO_REASON;
    buffer_clear(&out);
    int count = handout_write(&parties.tools, &sealing, &handout, &out);
    cr_assert_geq(count, 0);
    cr_assert_eq(answer_open(&parties.tools, buffer_view(&out), &expectation, &parties.limits,
                             &session, &bundle, &reason),
                 0, "%s", wire_reason_code(reason));
    return count;
}

Test(handout, an_empty_answer_is_whole)
{
    cr_expect_eq(hand_out(NULL), 0);
    cr_expect_eq(bundle.count, 0);
    cr_expect_eq(bundle.timestamp, 4711);
}

Test(handout, requests_come_in_their_order_to_their_agent)
{
    struct store_request second = {.flow = STR("F:2"),
                                   .request = 9,
                                   .action = STR("GetFileStat"),
                                   .args_type = STR("GetFileStatRequest"),
                                   .args = STR("args")};
    struct store_request first = second;
    first.flow = STR("F:1");
    first.request = 8;
    first.next = &second;
    cr_expect_eq(hand_out(&first), 2);
    cr_assert_eq(bundle.count, 2);
    struct str list = bundle.list;
    uint64_t last_task = 0;
    for (uint64_t i = 0; i < 2; i++) {
        struct message message;
        struct recipient recipient;
        cr_assert_eq(message_next(&list, &message), 1);
        cr_assert_eq(recipient_parse(message.session_id, &recipient), 0);
        cr_expect_str_eq(recipient.client.text, rsa_key_client_id(parties.agent)->text);
        cr_expect_str_eq(recipient.flow, i == 0 ? "F:1" : "F:2");
        cr_expect_eq(message.request_id, 8 + i);
        cr_expect(str_equal(message.name, STR("GetFileStat")));
        cr_expect(str_equal(message.args, STR("args")));
        cr_expect_neq(message.task_id, 0);
        cr_expect_neq(message.task_id, last_task);
        last_task = message.task_id;
    }
}

Test(handout, no_payload_is_another_thing_than_an_empty_one)
{
    struct store_request request = {.flow = STR("F:1"), .request = 1, .action = STR("Uname")};
    struct message message;
    cr_assert_eq(hand_out(&request), 1);
    struct str list = bundle.list;
    cr_assert_eq(message_next(&list, &message), 1);
    cr_expect_null(message.args.data);
    cr_expect_null(message.args_type.data);
    request.args_type = STR("EmptyRequest");
    cr_assert_eq(hand_out(&request), 1);
    list = bundle.list;
    cr_assert_eq(message_next(&list, &message), 1);
    cr_expect_not_null(message.args.data);
    cr_expect_eq(message.args.len, 0);
    cr_expect(str_equal(message.args_type, STR("EmptyRequest")));
}

Test(handout, an_answer_that_finds_no_room_is_an_error)
{
    struct store_request request = {.flow = STR("F:1"), .request = 1, .action = STR("Uname")};
    const struct handout handout = {.requests = &request,
                                    .client = rsa_key_client_id(parties.agent),
                                    .nonce = 1,
                                    .now = PARTIES_NOW};
    struct buffer small;
    buffer_init(&small, 64);
    cr_expect_eq(handout_write(&parties.tools, &sealing, &handout, &small), -ENOBUFS);
    buffer_done(&small);
}
