/* SPDX-License-Identifier: Apache-2.0 */
/* Which messages of a packet are kept, and as what. */
#include <criterion/criterion.h>
#include <errno.h>

#include "intake.h"
#include "wire/message.h"

static const struct client_id source = {"C.0000000000000001"};
static struct buffer list;
static struct bundle bundle;
static struct arena arena;
static struct intake intake;

static void set_up(void)
{
    buffer_init(&list, 1 << 20);
    arena_init(&arena, 4096, 1 << 20);
    bundle = (struct bundle){.has_timestamp = true, .timestamp = 77};
}

static void tear_down(void)
{
    buffer_done(&list);
    arena_done(&arena);
}

TestSuite(intake, .init = set_up, .fini = tear_down);

static void add(const struct message *message)
{
    cr_assert_eq(message_list_append(&list, message), 0);
    bundle.count++;
}

static void say(const char *session)
{
    add(&(struct message){
        .session_id = str_from(session), .args = STR("args"), .args_type = STR("DataBlob")});
}

static void respond(const char *session, uint64_t number, enum message_type type)
{
    add(&(struct message){.session_id = str_from(session),
                          .args = STR("args"),
                          .args_type = STR("DataBlob"),
                          .request_id = 3,
                          .has_request_id = true,
                          .response_id = number,
                          .has_response_id = true,
                          .type = type,
                          .has_type = true});
}

static int sort(void)
{
    bundle.list = buffer_view(&list);
    return intake_sort(&bundle, &source, &arena, &intake);
}

Test(intake, nothing_comes_of_nothing)
{
    cr_assert_eq(sort(), 0);
    cr_expect_eq(intake.response_count + intake.message_count + intake.dropped, 0);
}

Test(intake, responses_keep_their_numbers_and_kinds)
{
    respond("aff4:/C.0000000000000001/F:1", 1, MESSAGE_RESPONSE);
    respond("aff4:/C.0000000000000001/F:1", 2, MESSAGE_ITERATOR);
    respond("aff4:/C.0000000000000001/F:1", 3, MESSAGE_STATUS);
    cr_assert_eq(sort(), 0);
    cr_assert_eq(intake.response_count, 3);
    cr_expect_eq(intake.dropped, 0);
    static const enum store_response_kind kinds[] = {STORE_MESSAGE, STORE_ITERATOR, STORE_STATUS};
    for (size_t i = 0; i < 3; i++) {
        const struct store_response *response = &intake.responses[i];
        cr_expect(str_equal(response->flow, STR("F:1")));
        cr_expect_eq(response->request, 3);
        cr_expect_eq(response->response, i + 1);
        cr_expect_eq(response->kind, kinds[i]);
        cr_expect(str_equal(response->args, STR("args")));
    }
}

/* A pointer to the flow's name must not be to a place that the next message overwrites. */
Test(intake, every_response_has_its_own_flow)
{
    respond("aff4:/C.0000000000000001/F:1", 1, MESSAGE_RESPONSE);
    respond("aff4:/C.0000000000000001/F:22", 1, MESSAGE_RESPONSE);
    cr_assert_eq(sort(), 0);
    cr_assert_eq(intake.response_count, 2);
    cr_expect(str_equal(intake.responses[0].flow, STR("F:1")));
    cr_expect(str_equal(intake.responses[1].flow, STR("F:22")));
}

Test(intake, a_flow_of_another_agent_is_dropped_and_the_rest_is_kept)
{
    respond("aff4:/C.0000000000000002/F:1", 1, MESSAGE_RESPONSE);
    say("aff4:/flows/S:Stats");
    cr_assert_eq(sort(), 0);
    cr_expect_eq(intake.response_count, 0);
    cr_expect_eq(intake.message_count, 1);
    cr_expect_eq(intake.dropped, 1);
}

Test(intake, messages_are_named_by_packet_and_place)
{
    say("aff4:/flows/S:Stats");
    say("aff4:/nobody");
    say("aff4:/flows/F:Foreman");
    cr_assert_eq(sort(), 0);
    cr_assert_eq(intake.message_count, 2);
    cr_expect(str_equal(intake.messages[0].handler, STR("StatsHandler")));
    cr_expect(str_equal(intake.messages[1].handler, STR("ForemanHandler")));
    cr_expect_eq(intake.messages[0].packet_timestamp, 77);
    cr_expect_eq(intake.messages[0].place, 0);
    cr_expect_eq(intake.messages[1].place, 2); /* dropped ones count, so a repeat is the same */
    cr_expect_eq(intake.dropped, 1);
}

Test(intake, enrol_messages_are_left_out_and_not_counted_as_dropped)
{
    say("aff4:/flows/E:Enrol");
    cr_assert_eq(sort(), 0);
    cr_expect_eq(intake.message_count + intake.dropped, 0);
}

Test(intake, receivers_without_a_name_get_nothing)
{
    say("aff4:/flows/W:Stats");
    cr_assert_eq(sort(), 0);
    cr_expect_eq(intake.message_count, 0);
    cr_expect_eq(intake.dropped, 1);
}

Test(intake, an_arena_that_is_full_is_an_error)
{
    struct arena small;
    for (int i = 0; i < 100; i++) {
        say("aff4:/flows/S:Stats");
    }
    bundle.list = buffer_view(&list);
    arena_init(&small, 256, 512);
    cr_expect_eq(intake_sort(&bundle, &source, &small, &intake), -ENOMEM);
    arena_done(&small);
}
