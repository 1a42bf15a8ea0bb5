/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "admin_command.h"

static void expect_command(const char *text, enum admin_command command, bool is_json,
                           const char *argument)
{
    struct admin_line line;
    cr_assert_eq(admin_line_parse(&line, str_from(text)), 0, "%s: %s", text, line.problem);
    cr_expect_eq(line.command, command, "%s", text);
    cr_expect_eq(line.is_json, is_json, "%s", text);
    cr_expect_eq(line.argument_count, argument[0] == '\0' ? 0 : 1, "%s", text);
    cr_expect(str_equal(line.arguments[0], str_from(argument)), "%s", text);
}

static void expect_problem(struct str text, const char *words)
{
    struct admin_line line;
    cr_expect_lt(admin_line_parse(&line, text), 0);
    cr_expect_eq(line.command, ADMIN_NONE);
    cr_expect_not_null(strstr(line.problem, words), "%s", line.problem);
}

Test(admin_line, commands_are_found)
{
    expect_command("help", ADMIN_command_help, false, "");
    expect_command("  show \t members ", ADMIN_command_members, false, "");
    expect_command("show connections", ADMIN_command_connections, false, "");
    expect_command("show connections 7", ADMIN_command_connections, false, "7");
    expect_command("drain localhost:8080", ADMIN_command_drain, false, "localhost:8080");
    expect_command("explain json", ADMIN_command_explain, false, "json");
}

Test(admin_line, json_is_asked_for_before_or_behind)
{
    expect_command("json show members", ADMIN_command_members, true, "");
    expect_command("show members --json", ADMIN_command_members, true, "");
    expect_command("show --json members", ADMIN_command_members, true, "");
    expect_command("--json drain 8080", ADMIN_command_drain, true, "8080");
}

Test(admin_line, what_was_meant_is_suggested)
{
    expect_problem(STR("show membres"), "did you mean show members?");
    expect_problem(STR("members"), "did you mean show members?");
    expect_problem(STR("drian 8080"), "did you mean drain?");
    expect_problem(STR("hepl"), "did you mean help?");
    expect_problem(STR("frobnicate now"), "there is no command \"frobnicate now\"; try help");
}

Test(admin_line, wrong_use_is_told_with_the_right_one)
{
    expect_problem(STR("drain"), "drain PORT|HOST:PORT");
    expect_problem(STR("drain 1 2"), "drain PORT|HOST:PORT");
    expect_problem(STR("reload now"), "goes: reload");
    expect_problem(STR("show errors 1 2"), "show errors [N]");
}

Test(admin_line, what_is_no_command_is_refused)
{
    expect_problem(STR(""), "what shall be done");
    expect_problem(STR("json"), "what shall be done");
    expect_problem(STR("show\x01members"), "no printable ASCII");
    expect_problem(STR("show \xc3\xa4"), "no printable ASCII");
    expect_problem(STR("he\0lp"), "no printable ASCII");
    expect_problem(STR("a b c d e f g h i"), "too many words");
}

static void expect_place(const char *text, const char *host, uint16_t port)
{
    struct str found;
    uint16_t number;
    cr_assert_eq(admin_place_parse(str_from(text), &found, &number), 0, "%s", text);
    cr_expect(str_equal(found, str_from(host)), "%s", text);
    cr_expect_eq(number, port, "%s", text);
}

Test(admin_line, places_are_a_port_or_host_and_port)
{
    expect_place("8080", "", 8080);
    expect_place("localhost:1", "localhost", 1);
    expect_place("[::1]:65535", "::1", 65535);
    expect_place("10.0.0.1:80", "10.0.0.1", 80);
}

Test(admin_line, other_places_are_refused)
{
    static const char *const texts[] = {
        "", "0", "65536", ":8080", "localhost:", "a:b", "-1", "::1:80", "8080 ", "localhost"};
    struct str host;
    uint16_t port;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        cr_expect_lt(admin_place_parse(str_from(texts[i]), &host, &port), 0, "%s", texts[i]);
    }
}
