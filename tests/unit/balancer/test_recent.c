/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "recent.h"
#include "records.h"

static struct recent *recent;

static void set_up(void)
{
    recent = recent_new();
    cr_assert_not_null(recent);
}

static void tear_down(void)
{
    recent_free(recent);
}

TestSuite(recent, .init = set_up, .fini = tear_down);

Test(recent, nothing_is_found_where_nothing_was)
{
    cr_expect_null(recent_request_at(recent, 0));
    cr_expect_null(recent_error_at(recent, 0));
    cr_expect_null(recent_find(recent, STR("")));
    cr_expect_null(recent_find(recent, STR("x")));
}

Test(recent, a_request_is_kept_as_it_was)
{
    struct member member = {.name = "localhost:8080"};
    struct record record = make_record(&member, NULL);
    record.retries = 2;
    record.reason = REASON_ANSWER_CUT;
    recent_add(recent, &record);
    const struct recent_request *kept = recent_find(recent, STR("0123456789abcdef"));
    cr_assert_not_null(kept);
    cr_expect_str_eq(kept->client, "10.1.2.3");
    cr_expect_str_eq(kept->text, "POST /control?api=3");
    cr_expect_str_eq(kept->member, "localhost:8080");
    cr_expect_eq(kept->wall, RECORD_WALL);
    cr_expect_eq(kept->receive, 10);
    cr_expect_eq(kept->queue, 20);
    cr_expect_eq(kept->connect, 30);
    cr_expect_eq(kept->wait, 4000);
    cr_expect_eq(kept->total, 5000);
    cr_expect_eq(kept->bytes_in, 1234);
    cr_expect_eq(kept->bytes_out, 567);
    cr_expect_eq(kept->connection, 812);
    cr_expect_eq(kept->retries, 2);
    cr_expect_eq(kept->status, 200);
    cr_expect_eq(kept->reason, REASON_ANSWER_CUT);
}

Test(recent, long_texts_are_cut)
{
    char target[1000];
    memset(target, 'a', sizeof target);
    struct record record = make_record(NULL, NULL);
    record.target = str_make(target, sizeof target);
    record.client = str_make(target, sizeof target);
    recent_add(recent, &record);
    record.method = str_make(target, RECENT_TEXT - 2);
    recent_add(recent, &record);
    cr_expect_eq(strlen(recent_request_at(recent, 1)->text), RECENT_TEXT - 1);
    cr_expect_eq(strlen(recent_request_at(recent, 1)->client), 47);
    cr_expect_eq(strlen(recent_request_at(recent, 0)->text), RECENT_TEXT - 1);
    cr_expect_str_eq(recent_request_at(recent, 0)->member, "");
}

Test(recent, the_newest_come_first_and_the_oldest_go)
{
    char id[REQUEST_ID_SIZE];
    struct record record = make_record(NULL, NULL);
    record.request_id = id;
    for (int i = 0; i < RECENT_REQUESTS + 10; i++) {
        snprintf(id, sizeof id, "r%d", i);
        recent_add(recent, &record);
    }
    cr_expect_str_eq(recent_request_at(recent, 0)->request_id, "r4105");
    cr_expect_str_eq(recent_request_at(recent, RECENT_REQUESTS - 1)->request_id, "r10");
    cr_expect_null(recent_request_at(recent, RECENT_REQUESTS));
    cr_expect_null(recent_find(recent, STR("r9")));
    cr_expect_not_null(recent_find(recent, STR("r10")));
}

static const struct recent_error *add_error(struct str input, uint32_t offset)
{
    struct record record = make_record(NULL, NULL);
    record.offset = offset;
    record.reason = REASON_BARE_LF;
    recent_add_error(recent, &record, input);
    return recent_error_at(recent, 0);
}

static void expect_excerpt(const char *input, uint32_t offset, const char *wanted)
{
    const struct recent_error *error = add_error(str_from(input), offset);
    cr_expect_eq(error->offset, offset);
    cr_expect_eq(error->excerpt_len, strlen(wanted));
    cr_expect_eq(memcmp(error->excerpt, wanted, error->excerpt_len), 0, "%.*s",
                 (int)error->excerpt_len, (const char *)error->excerpt);
}

Test(recent, secrets_are_blanked_out)
{
    expect_excerpt("GET / HTTP/1.1\r\nAuthorization: Basic abc\r\nHost: x\r\n", 3,
                   "GET / HTTP/1.1\r\nAuthorization***********\r\nHost: x\r\n");
    expect_excerpt("GET /\r\ncookie:a\r\nproxy-authorization: b\r\nSet-Cookie: c", 0,
                   "GET /\r\ncookie**\r\nproxy-authorization***\r\nSet-Cookie***");
    expect_excerpt("GET /\r\nCookies: a\r\nX-Cookie: b\r\nAuthorizationX: c\r\n", 0,
                   "GET /\r\nCookies: a\r\nX-Cookie: b\r\nAuthorizationX: c\r\n");
}

Test(recent, malformed_lines_do_not_show_secrets)
{
    expect_excerpt("A\nCookie\t: a\nx\rcookie b\ny\n COOKIE: c\n", 0,
                   "A\nCookie****\nx\rcookie**\ny\n COOKIE***\n");
    expect_excerpt("A\r\nAuthorization:\r\n Basic x\r\n\ty\r\nB: c\r\n", 0,
                   "A\r\nAuthorization*\r\n********\r\n**\r\nB: c\r\n");
    expect_excerpt("A\r\nProxy_Authorization: a\r\nB", 0, "A\r\nProxy_Authorization***\r\nB");
}

Test(recent, an_excerpt_in_the_middle_of_a_secret_shows_none_of_it)
{
    char input[2048];
    size_t len = (size_t)snprintf(input, sizeof input, "GET / HTTP/1.1\r\nCookie: ");
    memset(input + len, 's', 1000);
    strcpy(input + len + 1000, "\r\nHost: y\r\n");
    const struct recent_error *error = add_error(str_from(input), 700);
    cr_expect_eq(error->excerpt_at, 700 - RECENT_HEAD / 2);
    cr_expect_eq(error->excerpt_len, RECENT_HEAD);
    cr_expect_null(memchr(error->excerpt, 's', error->excerpt_len));
}

Test(recent, an_offset_behind_the_input_is_survived)
{
    const struct recent_error *error = add_error(STR("GET"), 1000);
    cr_expect_eq(error->offset, 1000);
    cr_expect_leq(error->excerpt_len, 3);
    cr_expect_eq(add_error(STR(""), 0)->excerpt_len, 0);
}

Test(recent, errors_are_a_ring_too)
{
    for (uint32_t i = 0; i < RECENT_ERRORS + 5; i++) {
        add_error(STR("GET"), i);
    }
    cr_expect_eq(recent_error_at(recent, 0)->offset, RECENT_ERRORS + 4);
    cr_expect_eq(recent_error_at(recent, RECENT_ERRORS - 1)->offset, 5);
    cr_expect_null(recent_error_at(recent, RECENT_ERRORS));
    cr_expect_null(recent_request_at(recent, 0), "errors alone are no requests");
}
