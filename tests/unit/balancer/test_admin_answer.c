/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "admin_answer.h"

static struct admin_answer answer;

static void begin(bool is_json)
{
    admin_init(&answer, is_json);
}

static void expect(const char *wanted)
{
    admin_finish(&answer);
    cr_expect(str_equal(buffer_view(&answer.out), str_from(wanted)), "%.*s",
              STR_ARG(buffer_view(&answer.out)));
    admin_done(&answer);
}

static void put_list(void)
{
    admin_list_begin(&answer, NULL);
    for (int i = 0; i < 2; i++) {
        admin_object_begin(&answer);
        admin_text(&answer, "name", i == 0 ? STR("a\xc3\xa4") : STR("longer"));
        admin_number(&answer, "in_flight", i);
        admin_bool(&answer, "tls", i == 1);
        admin_text(&answer, "member", i == 0 ? STR("") : STR("x"));
        admin_object_end(&answer);
    }
    admin_list_end(&answer, "None.");
}

Test(admin_answer, a_list_is_an_aligned_table_or_an_array)
{
    begin(false);
    put_list();
    expect("NAME    IN FLIGHT  TLS  MEMBER\n"
           "a\xc3\xa4      0          no   -\n"
           "longer  1          yes  x\n");
    begin(true);
    put_list();
    expect("[{\"name\":\"a\xc3\xa4\",\"in_flight\":0,\"tls\":false,\"member\":null},"
           "{\"name\":\"longer\",\"in_flight\":1,\"tls\":true,\"member\":\"x\"}]\n");
}

Test(admin_answer, an_empty_list_says_so)
{
    begin(false);
    admin_list_begin(&answer, NULL);
    admin_list_end(&answer, "None.");
    expect("None.\n");
    begin(true);
    admin_list_begin(&answer, NULL);
    admin_list_end(&answer, "None.");
    expect("[]\n");
}

static void put_object(void)
{
    admin_object_begin(&answer);
    admin_duration(&answer, "short", 1500);
    admin_duration(&answer, "long", 2500000);
    admin_time(&answer, "time", INT64_C(1777638896000000));
    admin_list_begin(&answer, "list");
    admin_object_begin(&answer);
    admin_number(&answer, "n", -1);
    admin_object_end(&answer);
    admin_list_end(&answer, "");
    admin_object_end(&answer);
}

Test(admin_answer, an_object_is_lines_or_an_object)
{
    begin(false);
    put_object();
    expect("short              1.500ms\nlong               2.500s\n"
           "time               2026-05-01T12:34:56Z\nN\n-1\n");
    begin(true);
    put_object();
    expect("{\"short_us\":1500,\"long_us\":2500000,\"time_us\":1777638896000000,"
           "\"list\":[{\"n\":-1}]}\n");
}

Test(admin_answer, what_peers_sent_is_escaped)
{
    begin(false);
    admin_object_begin(&answer);
    admin_text(&answer, "a", STR("\x1b[31m\"\\\t\n\xff\xe2\x80\xae"));
    admin_object_end(&answer);
    expect("a                  \\x1b[31m\"\\\\x09\\x0a\\xff\\xe2\\x80\\xae\n");
    begin(true);
    admin_object_begin(&answer);
    admin_text(&answer, "a", STR("\x1b\"\\\t\xff"));
    admin_object_end(&answer);
    expect("{\"a\":\"\\u001b\\\"\\\\\\u0009\\u00ff\"}\n");
}

Test(admin_answer, a_failure_replaces_what_was_there)
{
    begin(false);
    put_list();
    admin_fail(&answer, "no %s", "good\n");
    cr_expect(answer.is_error);
    expect("error: no good\\x0a\n");
    begin(true);
    admin_list_begin(&answer, NULL);
    admin_fail(&answer, "no \"good\"");
    expect("{\"error\":\"no \\\"good\\\"\"}\n");
}

Test(admin_answer, what_does_not_fit_is_no_answer)
{
    begin(false);
    answer.out.max = 4096;
    admin_object_begin(&answer);
    for (int i = 0; i < 1000; i++) {
        admin_number(&answer, "n", i);
    }
    admin_object_end(&answer);
    admin_finish(&answer);
    cr_expect(answer.is_error);
    cr_expect(str_starts_with(buffer_view(&answer.out), STR("error: the answer is too large")));
    admin_done(&answer);
}
