/* SPDX-License-Identifier: Apache-2.0 */
/* Who a request is from, whatever it says. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "conversation.h"
#include "peer.h"

struct question {
    struct head head;
    struct network trusted[2];
    char name[ADDRESS_TEXT_SIZE];
};

static enum MHD_Result ask(struct MHD_Connection *connection, void *context)
{
    struct question *question = context;
    peer_name(connection, &question->head, question->trusted, ARRAY_LEN(question->trusted),
              question->name);
    return answer_with_nothing(connection);
}

/* With 10.0.0.0/8 and fd00::/8 trusted; fields end with NULL. */
static const char *name_of(const char *peer, const char *const *fields)
{
    static struct question question;
    struct address address;
    question = (struct question){.name = "?"};
    cr_assert_eq(network_parse(STR("10.0.0.0/8"), &question.trusted[0], NULL), 0);
    cr_assert_eq(network_parse(STR("fd00::/8"), &question.trusted[1], NULL), 0);
    cr_assert_eq(address_from_host(str_from(peer), 1234, &address, NULL), 0);
    for (; *fields != NULL; fields++) {
        question.head.forwarded_for[question.head.forwarded_count++] = str_from(*fields);
    }
    free(converse("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &address, ask, &question));
    return question.name;
}

#define NAME(PEER, ...) name_of(PEER, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

Test(peer, is_the_other_end_when_nobody_else_is_named)
{
    cr_expect_str_eq(NAME("192.0.2.1"), "192.0.2.1");
    cr_expect_str_eq(NAME("2001:db8::1"), "2001:db8::1");
    cr_expect_str_eq(NAME("10.0.0.1"), "10.0.0.1");
}

Test(peer, is_whom_a_trusted_proxy_names)
{
    cr_expect_str_eq(NAME("10.0.0.1", "192.0.2.7"), "192.0.2.7");
    cr_expect_str_eq(NAME("fd00::1", "2001:db8::7"), "2001:db8::7");
}

Test(peer, is_nobody_that_a_stranger_names)
{
    cr_expect_str_eq(NAME("192.0.2.1", "192.0.2.7"), "192.0.2.1");
}

Test(peer, is_the_first_stranger_from_the_right)
{
    cr_expect_str_eq(NAME("10.0.0.1", "198.51.100.1, 192.0.2.7,10.0.0.2 ,  10.0.0.3"), "192.0.2.7");
    cr_expect_str_eq(NAME("10.0.0.1", "198.51.100.1", "192.0.2.7", "10.0.0.2"), "192.0.2.7");
}

Test(peer, is_the_farthest_trusted_one_when_all_are)
{
    cr_expect_str_eq(NAME("10.0.0.1", "10.0.0.3, 10.0.0.2"), "10.0.0.3");
}

Test(peer, is_the_last_one_that_was_an_address)
{
    cr_expect_str_eq(NAME("10.0.0.1", "198.51.100.1, unknown, 10.0.0.2"), "10.0.0.2");
    cr_expect_str_eq(NAME("10.0.0.1", "192.0.2.7, /run/x.sock"), "10.0.0.1");
    cr_expect_str_eq(NAME("10.0.0.1", "192.0.2.7,"), "10.0.0.1");
}
