/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's end: an honest answer is taken, every lie is told from the others. */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/check.h"
#include "support/parties.h"
#include "wire/request.h"

static struct parties parties;
static struct bundle bundle;
static struct session session;
static struct sealing sealing;
static struct buffer out;
static struct answer_expectation expectation;

static void set_up(void)
{
    enum wire_reason reason;
    parties_init(&parties);
    bundle_init(&bundle, &parties.limits);
    buffer_init(&out, 1 << 20);
    CHECK(sealing_make(&parties.tools, parties.server, parties.agent, STR("grr"), PARTIES_NOW,
                       &sealing, &reason) == 0);
    expectation = (struct answer_expectation){
        .own = parties.agent, .server = parties.server, .server_name = STR("grr"), .nonce = 77};
    session = (struct session){.hmac_type = 0};
}

static void tear_down(void)
{
    bundle_done(&bundle);
    buffer_done(&out);
    parties_done(&parties);
}

TestSuite(answer, .init = set_up, .fini = tear_down);

static void seal(const struct sealing *by, uint64_t nonce)
{
    const struct seal_content content = {.timestamp = nonce, .compress_from = SEAL_COMPRESS_FROM};
    buffer_clear(&out);
    CHECK(seal_packet(&parties.tools, by, &content, &out) == 0);
}

static enum wire_reason open_answer(void)
{
    enum wire_reason reason = WIRE_NO_REASON;
    int error = answer_open(&parties.tools, buffer_view(&out), &expectation, &parties.limits,
                            &session, &bundle, &reason);
    cr_expect_eq(error == 0, reason == WIRE_NO_REASON);
    return reason;
}

Test(answer, the_same_cipher_is_paid_for_once)
{
    for (uint64_t nonce = 1; nonce < 5; nonce++) {
        expectation.nonce = nonce;
        seal(&sealing, nonce);
        cr_expect_eq(open_answer(), WIRE_NO_REASON);
        cr_expect_eq(parties.meter.private_operations, 2); /* sign, decrypt */
        cr_expect_eq(parties.meter.public_operations, 2);  /* encrypt, verify */
    }
}

Test(answer, without_a_key_only_the_same_cipher_is_understood)
{
    enum wire_reason reason = WIRE_NO_REASON;
    expectation.own = NULL;
    seal(&sealing, 77);
    cr_expect_eq(answer_open(&parties.tools, buffer_view(&out), &expectation, &parties.limits,
                             &session, &bundle, &reason),
                 -ENOKEY);
    cr_expect_eq(reason, WIRE_NO_REASON);
    cr_expect_eq(session.source[0], '\0', "nothing of it is kept");
    expectation.own = parties.agent;
    cr_expect_eq(open_answer(), WIRE_NO_REASON);
    expectation.own = NULL;
    cr_expect_eq(open_answer(), WIRE_NO_REASON);
    cr_expect_eq(parties.meter.private_operations, 2); /* sign, decrypt */
}

Test(answer, another_nonce_is_told)
{
    seal(&sealing, 78);
    cr_expect_eq(open_answer(), WIRE_REASON_ANSWER_NONCE);
    cr_expect_eq(bundle.count, 0);
    seal(&sealing, 0);
    cr_expect_eq(open_answer(), WIRE_REASON_ANSWER_NONCE);
}

Test(answer, a_former_answer_again_is_told)
{
    seal(&sealing, 77);
    cr_expect_eq(open_answer(), WIRE_NO_REASON);
    expectation.nonce = 78;
    cr_expect_eq(open_answer(), WIRE_REASON_ANSWER_NONCE);
}

Test(answer, another_source_is_told_cold_and_warm)
{
    struct sealing evil;
    enum wire_reason reason;
    cr_assert_eq(
        sealing_make(&parties.tools, parties.server, parties.agent, STR("evil"), 0, &evil, &reason),
        0);
    seal(&evil, 77);
    cr_expect_eq(open_answer(), WIRE_REASON_ANSWER_SOURCE);
    seal(&sealing, 77);
    cr_expect_eq(open_answer(), WIRE_NO_REASON);
    expectation.server_name = STR("grr2");
    cr_expect_eq(open_answer(), WIRE_REASON_ANSWER_SOURCE);
}

Test(answer, another_signer_is_told)
{
    struct sealing forged;
    enum wire_reason reason;
    cr_assert_eq(
        sealing_make(&parties.tools, parties.other, parties.agent, STR("grr"), 0, &forged, &reason),
        0);
    seal(&forged, 77);
    cr_expect_eq(open_answer(), WIRE_REASON_SIGNATURE);
    cr_expect_eq(session.source[0], '\0', "nothing of it is kept");
}

Test(answer, one_for_another_agent_is_told)
{
    struct sealing others;
    enum wire_reason reason;
    cr_assert_eq(sealing_make(&parties.tools, parties.server, parties.other, STR("grr"), 0, &others,
                              &reason),
                 0);
    seal(&others, 77);
    cr_expect_eq(open_answer(), WIRE_REASON_CIPHER_DECRYPT);
}

Test(answer, a_changed_byte_is_told)
{
    seal(&sealing, 77);
    cr_expect_eq(open_answer(), WIRE_NO_REASON);
    out.data[out.end - 1] ^= 1; /* the full HMAC comes last */
    cr_expect_eq(open_answer(), WIRE_REASON_HMAC_MISMATCH);
}

Test(answer, cut_anywhere_is_refused)
{
    seal(&sealing, 77);
    cr_expect_eq(open_answer(), WIRE_NO_REASON);
    size_t whole = out.end;
    for (size_t len = 0; len < whole; len++) {
        out.end = len;
        cr_expect_neq(open_answer(), WIRE_NO_REASON);
    }
}

Test(answer, a_session_of_a_former_server_key_is_not_used)
{
    seal(&sealing, 77);
    cr_expect_eq(open_answer(), WIRE_NO_REASON);
    expectation.server = parties.other;
    cr_expect_eq(open_answer(), WIRE_REASON_SIGNATURE);
}

Test(answer, requests_arrive_as_they_were_asked)
{
    struct buffer list;
    struct message message;
    const struct request request = {
        .client = *rsa_key_client_id(parties.agent),
        .flow = STR("F:1234"),
        .request_id = 3,
        .action = STR("Echo"),
        .args = STR("\x0a\x01x"),
        .args_type = STR("EchoRequest"),
        .cpu_limit_ms = REQUEST_CPU_LIMIT_MS,
        .network_bytes_limit = REQUEST_NETWORK_BYTES_LIMIT,
        .task_id = request_task_id(PARTIES_NOW, 5),
    };
    buffer_init(&list, 4096);
    cr_assert_eq(request_append(&list, &request), 0);
    const struct seal_content content = {.list = buffer_view(&list), .timestamp = 77};
    cr_assert_eq(seal_packet(&parties.tools, &sealing, &content, &out), 0);
    cr_assert_eq(open_answer(), WIRE_NO_REASON);
    struct str rest = bundle.list;
    cr_assert_eq(message_next(&rest, &message), 1);
    cr_expect_eq(message.request_id, 3);
    cr_expect_eq(message.task_id, request.task_id);
    cr_expect_eq(message.ttl, 10);
    cr_expect(message.require_fastpoll && !message.has_require_fastpoll);
    cr_expect(str_equal(message.name, STR("Echo")));
    cr_expect(str_equal(message.args, request.args));
    cr_expect(str_equal(message.args_type, request.args_type));
    cr_expect(str_ends_with(message.session_id, STR("/F:1234")));
    buffer_done(&list);
}

Test(answer, a_sealing_lives_a_day_and_for_one_key)
{
    cr_expect(sealing_is_usable(&sealing, parties.agent, PARTIES_NOW));
    cr_expect(sealing_is_usable(&sealing, parties.agent, PARTIES_NOW + USEC_PER_DAY - 1));
    cr_expect_not(sealing_is_usable(&sealing, parties.agent, PARTIES_NOW + USEC_PER_DAY));
    cr_expect_not(sealing_is_usable(&sealing, parties.agent, PARTIES_NOW - 1));
    cr_expect_not(sealing_is_usable(&sealing, parties.other, PARTIES_NOW));
}
