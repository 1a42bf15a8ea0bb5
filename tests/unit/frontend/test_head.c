/* SPDX-License-Identifier: Apache-2.0 */
/* Heads, looked at again. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "conversation.h"
#include "head.h"

struct seen {
    bool was_called;
    enum reason reason;
    struct head head;
    char forwarded[HEAD_FORWARDED_MAX][64]; /* copies: the views die with the request */
};

static enum MHD_Result look(struct MHD_Connection *connection, void *context)
{
    struct seen *seen = context;
    seen->was_called = true;
    seen->reason = head_check(connection, &seen->head);
    for (unsigned i = 0; seen->reason == REASON_NONE && i < seen->head.forwarded_count; i++) {
        snprintf(seen->forwarded[i], sizeof seen->forwarded[i], "%.*s",
                 STR_ARG(seen->head.forwarded_for[i]));
    }
    return answer_with_nothing(connection);
}

static struct seen check(const char *fields)
{
    struct seen seen = {.was_called = false};
    char request[4096];
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    free(converse(request, NULL, look, &seen));
    cr_assert(seen.was_called, "%s", fields);
    return seen;
}

Test(head, knows_the_length_and_that_there_is_none)
{
    struct seen seen = check("");
    cr_expect_eq(seen.reason, REASON_NONE);
    cr_expect_not(seen.head.has_length);
    seen = check("Content-Length: 0\r\n");
    cr_expect_eq(seen.reason, REASON_NONE);
    cr_expect(seen.head.has_length);
    cr_expect_eq(seen.head.length, 0);
}

Test(head, refuses_what_others_may_read_otherwise)
{
    static const struct {
        const char *fields;
        enum reason reason;
    } cases[] = {
        {"Host: b\r\n", REASON_HOST_DUPLICATE},
        {"Content-Length: 0\r\nContent-Length: 0\r\n", REASON_LENGTH_DUPLICATE},
        {"X-Forwarded-For: a\r\nHost: b\r\n", REASON_HOST_DUPLICATE},
        {"Transfer-Encodingked: x\r\n", REASON_FIELD}, /* how libmicrohttpd shows a fold */
        {"Content-Lengthy: 1\r\n", REASON_FIELD},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cr_expect_eq(check(cases[i].fields).reason, cases[i].reason, "%s", cases[i].fields);
    }
}

Test(head, keeps_forwarded_fields_in_their_order)
{
    struct seen seen = check("X-Forwarded-For: 192.0.2.7, 192.0.2.8\r\nAccept: x\r\n"
                             "x-forwarded-for: 192.0.2.9\r\n");
    cr_expect_eq(seen.reason, REASON_NONE);
    cr_assert_eq(seen.head.forwarded_count, 2);
    cr_expect_str_eq(seen.forwarded[0], "192.0.2.7, 192.0.2.8");
    cr_expect_str_eq(seen.forwarded[1], "192.0.2.9");
}

Test(head, of_too_many_forwarded_fields_the_last_ones_stay)
{
    char fields[1024] = "";
    size_t used = 0;
    for (int i = 0; i < HEAD_FORWARDED_MAX + 3; i++) {
        used += (size_t)snprintf(fields + used, sizeof fields - used,
                                 "X-Forwarded-For: 192.0.2.%d\r\n", i);
    }
    struct seen seen = check(fields);
    cr_assert_eq(seen.head.forwarded_count, HEAD_FORWARDED_MAX);
    cr_expect_str_eq(seen.forwarded[0], "192.0.2.3");
    cr_expect_str_eq(seen.forwarded[HEAD_FORWARDED_MAX - 1], "192.0.2.10");
}
