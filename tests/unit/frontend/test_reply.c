/* SPDX-License-Identifier: Apache-2.0 */
/* What is answered, byte for byte as far as others rely on it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conversation.h"
#include "reply.h"

static struct replies *replies;

static void set_up(void)
{
    replies = replies_new(STR("-----BEGIN CERTIFICATE-----\n"), 10 * USEC_PER_SEC);
    cr_assert_not_null(replies);
}

static void tear_down(void)
{
    replies_free(replies);
}

TestSuite(reply, .init = set_up, .fini = tear_down);

struct wish {
    enum reason reason;
    bool closes;
};

static enum MHD_Result refuse(struct MHD_Connection *connection, void *context)
{
    const struct wish *wish = context;
    return replies_refuse(replies, connection, wish->reason, wish->closes);
}

static char *refusal(enum reason reason, bool closes)
{
    struct wish wish = {reason, closes};
    return converse("GET / HTTP/1.1\r\nHost: a\r\n\r\n", NULL, refuse, &wish);
}

Test(reply, every_reason_has_a_sentence_and_a_code_that_means_one_status)
{
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        enum reason reason = (enum reason)i;
        if (reason == REASON_WIRE) {
            continue; /* is no reason */
        }
        cr_expect_neq(reason_code(reason)[0], '\0');
        cr_expect_neq(reason_sentence(reason)[0], '\0');
        cr_expect(reason_status(reason) >= 400 && reason_status(reason) < 600, "%s",
                  reason_code(reason));
        /* Two modules may mean the same (no_memory), but then they say the same status. */
        for (int other = REASON_NONE + 1; other < i; other++) {
            if (strcmp(reason_code((enum reason)other), reason_code(reason)) == 0) {
                cr_expect_eq(reason_status((enum reason)other), reason_status(reason), "%s",
                             reason_code(reason));
            }
        }
    }
}

Test(reply, a_refusal_carries_its_status_and_code)
{
    char *answer = refusal(REASON_BODY_TOO_LARGE, false);
    cr_expect_eq(strncmp(answer, "HTTP/1.1 413 ", 13), 0, "%s", answer);
    cr_expect_not_null(strstr(answer, "X-Portico-Reason: body_too_large\r\n"), "%s", answer);
    cr_expect_null(strstr(answer, "Retry-After"), "%s", answer);
    free(answer);
}

Test(reply, a_refusal_that_closes_says_so)
{
    char *answer = refusal(REASON_FIELD, true);
    cr_expect_not_null(strcasestr(answer, "\r\nConnection: close\r\n"), "%s", answer);
    free(answer);
}

Test(reply, unknown_agents_get_the_words_that_they_wait_for)
{
    char *answer = refusal(reason_of_wire(WIRE_REASON_SOURCE_UNKNOWN), false);
    cr_expect_eq(strncmp(answer, "HTTP/1.1 406 ", 13), 0, "%s", answer);
    cr_expect_not_null(strstr(answer, "\r\n\r\nEnrollment required"), "%s", answer);
    free(answer);
}

Test(reply, the_busy_are_asked_back_within_one_to_two_times_and_not_all_at_once)
{
    unsigned seen[64] = {0};
    unsigned different = 0;
    for (int i = 0; i < 40; i++) {
        unsigned seconds = 0;
        char *answer = refusal(REASON_BUSY_STORE, false);
        const char *field = strstr(answer, "\r\nRetry-After: ");
        cr_assert_not_null(field, "%s", answer);
        cr_assert_eq(sscanf(field, "\r\nRetry-After: %u\r\n", &seconds), 1);
        cr_assert(seconds >= 10 && seconds <= 20, "%u", seconds);
        different += seen[seconds]++ == 0;
        free(answer);
    }
    cr_expect_gt(different, 1);
}

static enum MHD_Result give_certificate(struct MHD_Connection *connection, void *context)
{
    (void)context;
    return replies_certificate(replies, connection);
}

static enum MHD_Result give_health(struct MHD_Connection *connection, void *context)
{
    return replies_health(replies, connection, *(const bool *)context);
}

static enum MHD_Result give_packet(struct MHD_Connection *connection, void *context)
{
    char *body = strdup(context);
    CHECK(body != NULL);
    return reply_packet(connection, body, strlen(body));
}

Test(reply, gives_certificate_health_and_packets)
{
    static const char get[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    char *answer = converse(get, NULL, give_certificate, NULL);
    cr_expect_not_null(strstr(answer, "\r\n\r\n-----BEGIN CERTIFICATE-----\n"), "%s", answer);
    free(answer);
    bool is_well = true;
    answer = converse(get, NULL, give_health, &is_well);
    cr_expect_eq(strncmp(answer, "HTTP/1.1 200 ", 13), 0, "%s", answer);
    free(answer);
    is_well = false;
    answer = converse(get, NULL, give_health, &is_well);
    cr_expect_eq(strncmp(answer, "HTTP/1.1 503 ", 13), 0, "%s", answer);
    free(answer);
    answer = converse(get, NULL, give_packet, (char[]){"packet"});
    cr_expect_not_null(strstr(answer, "Content-Type: application/octet-stream\r\n"), "%s", answer);
    cr_expect_not_null(strstr(answer, "\r\n\r\npacket"), "%s", answer);
    free(answer);
}
