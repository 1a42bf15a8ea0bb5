/* SPDX-License-Identifier: Apache-2.0 */
/* Usage, help and exit statuses of the real program. */
#include <criterion/criterion.h>

#include "runner.h"

static void expect_misuse(struct run run, const char *words)
{
    cr_expect_eq(run.status, 2, "%s", run.err);
    cr_expect_str_eq(run.out, "");
    cr_expect_not_null(strstr(run.err, words), "%s", run.err);
    cr_expect_not_null(strstr(run.err, "--help."), "%s", run.err);
    run_done(&run);
}

Test(command_program, wrong_usage_is_told_with_a_suggestion)
{
    expect_misuse(PORTICO("agnets"), "did you mean agents?");
    expect_misuse(PORTICO("agents", "lst"), "did you mean portico agents list?");
    expect_misuse(PORTICO("agents", "frobnicate"), "there are list, show, approve, forget");
    expect_misuse(PORTICO("agents"), "what shall be done?");
    expect_misuse(PORTICO("agents", "show"), "portico agents show ID");
    expect_misuse(PORTICO("agents", "list", "x"), "one word too many");
    expect_misuse(PORTICO("send", "C.0000000000000001"), "something is missing");
    expect_misuse(PORTICO("agents", "list", "--jsno"), "did you mean --json?");
    expect_misuse(PORTICO("agents", "list", "--flow", "F"), "it takes no --flow");
    expect_misuse(PORTICO("messages", "--handler", "StatHandler"), "did you mean StatsHandler?");
    expect_misuse(PORTICO("-v"), "what shall be done?");
}

static void expect_help(struct run run, const char *first, const char *second)
{
    cr_expect_eq(run.status, 0, "%s", run.err);
    cr_expect_not_null(strstr(run.out, first), "%s", run.out);
    cr_expect_not_null(strstr(run.out, second), "%s", run.out);
    run_done(&run);
}

Test(command_program, help_is_there_for_all_and_for_each)
{
    expect_help(PORTICO("--help"), "agents", "--args-hex HEX");
    expect_help(PORTICO("send", "--help"), "ID ACTION", "--args-type NAME");
    expect_help(PORTICO("--help", "agents"), "approve ID", "--json");
    expect_help(PORTICO("init", "--help"), "--directory DIR", "Nothing that exists");
    expect_help(PORTICO("check", "--help"), "Exit status 1", "mend");
    expect_help(PORTICO("requests", "--help"), "leased_until_us", "--json");
    expect_help(PORTICO("responses", "--help"), "iterator", "--flow F");
    expect_help(PORTICO("messages", "--help"), "StatsHandler", "--handler NAME");
    expect_help(PORTICO("--version"), "portico ", "");
}

Test(command_program, a_bad_configuration_ends_it)
{
    RUN run = PORTICO("agents", "list", "-p", "Frontend.bind_port=0");
    cr_expect_eq(run.status, 1);
    cr_expect_not_null(strstr(run.err, "Frontend.bind_port"), "%s", run.err);
}
