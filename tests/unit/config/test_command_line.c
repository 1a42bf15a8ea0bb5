/* SPDX-License-Identifier: Apache-2.0 */
#include "config/command_line.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "support/support.h"

static const struct flag flags[] = {
    {"port", 0, "N", "take this port"}, {"once", 'o', NULL, "stop then"}, {NULL, 0, NULL, NULL}};
static const struct command commands[] = {
    {"agents", "look at agents"}, {"send", "queue a request"}, {NULL, NULL}};
static const struct program_usage usage = {
    "prog", PROGRAM_PORTICO, "Does things.", "COMMAND", flags, commands, NULL};

struct outcome {
    int parsed;
    int status; /* of command_line_begin(), when it parsed */
    char *out, *err;
    struct command_line *line;
    struct config *config;
    char *argv[16];
};

static struct outcome run(const char *const *arguments)
{
    struct outcome outcome = {.status = -2};
    size_t size;
    int argc = 0;
    for (; arguments[argc] != NULL; argc++) {
        outcome.argv[argc] = strdup(arguments[argc]);
    }
    FILE *out = open_memstream(&outcome.out, &size);
    FILE *err = open_memstream(&outcome.err, &size);
    outcome.parsed = command_line_parse(&usage, argc, outcome.argv, err, &outcome.line);
    if (outcome.parsed == 0) {
        outcome.status = command_line_begin(outcome.line, out, err, &outcome.config);
    }
    fclose(out);
    fclose(err);
    return outcome;
}

static void outcome_done(struct outcome *outcome)
{
    command_line_free(outcome->line);
    config_unref(outcome->config);
    free(outcome->out);
    free(outcome->err);
    for (int i = 0; outcome->argv[i] != NULL; i++) {
        free(outcome->argv[i]);
    }
}

#define OUTCOME __attribute__((cleanup(outcome_done))) struct outcome
#define RUN(...) run((const char *[]){"prog", ##__VA_ARGS__, NULL})

Test(command_line, needs_no_file)
{
    OUTCOME plain = RUN();
    cr_assert_eq(plain.status, -1);
    cr_assert_eq(config_int(plain.config, "Frontend.bind_port"), 8080);
}

Test(command_line, flags_stand_before_and_after_the_command)
{
    OUTCOME o = RUN("-p", "Frontend.threads=3", "agents", "-v", "list", "--port=7", "--", "-x");
    cr_assert_eq(o.status, -1, "%s", o.err);
    cr_assert_str_eq(command_line_word(o.line, 0), "agents");
    cr_assert_str_eq(command_line_word(o.line, 1), "list");
    cr_assert_str_eq(command_line_word(o.line, 2), "-x");
    cr_assert_null(command_line_word(o.line, 3));
    cr_assert(command_line_is_verbose(o.line));
    cr_assert_str_eq(command_line_flag(o.line, "port"), "7");
    cr_assert_null(command_line_flag(o.line, "once"));
    cr_assert_eq(config_int(o.config, "Frontend.threads"), 3);
}

Test(command_line, letters_may_stand_together)
{
    OUTCOME o = RUN("-vopFrontend.threads=2");
    cr_assert_eq(o.status, -1, "%s", o.err);
    cr_assert_str_eq(command_line_flag(o.line, "once"), "");
    cr_assert_eq(config_int(o.config, "Frontend.threads"), 2);
}

static void expect_usage_error(const char *const *argv, const char *words)
{
    OUTCOME o = run(argv);
    cr_expect_eq(o.parsed, -EINVAL);
    cr_expect_not_null(strstr(o.err, words), "%s", o.err);
    cr_expect_not_null(strstr(o.err, "Try prog --help."), "%s", o.err);
}

#define USAGE_ERROR(words, ...) \
    expect_usage_error((const char *[]){"prog", __VA_ARGS__, NULL}, words)

Test(command_line, wrong_usage_is_told_with_a_suggestion)
{
    USAGE_ERROR("did you mean --check-config?", "--check-confg");
    USAGE_ERROR("did you mean --port?", "--prot", "7");
    USAGE_ERROR("there is no flag -z", "-z");
    USAGE_ERROR("wants an argument", "--config");
    USAGE_ERROR("-c wants an argument", "-c");
    USAGE_ERROR("takes no argument", "--verbose=1");
    USAGE_ERROR("write Key=value", "-p", "Frontend.threads");
    USAGE_ERROR("did you mean -p Frontend.threads=...?", "-p", "Frontend.thread=1");
    USAGE_ERROR("did you mean -p Frontend.threads=...?", "-p", "Fronted.threads=1");
    USAGE_ERROR("did you mean -p Frontend.bind_port=...?", "-p", "bind_port=1");
    USAGE_ERROR("did you mean \"Debug Context\"?", "--context", "Debg Context");
    USAGE_ERROR("there is no section Fronted", "--help-config=Fronted");
    USAGE_ERROR("did you mean agents?", "agnets");
    USAGE_ERROR("there are agents, send", "frobnicate");
}

Test(command_line, foreign_parameters_are_fine)
{
    OUTCOME o = RUN("-p", "Client.name=x", "-p", "Runtime.directory=/%(Client.name)");
    cr_assert_eq(o.status, -1, "%s", o.err);
    cr_assert_str_eq(config_str(o.config, "Runtime.directory"), "/x");
}

Test(command_line, help_and_version_load_nothing)
{
    OUTCOME help = RUN("-c", "/nowhere", "--help");
    cr_assert_eq(help.status, 0);
    cr_assert_not_null(strstr(help.out, "usage: prog [OPTIONS] COMMAND"));
    cr_assert_not_null(strstr(help.out, "--port N"));
    cr_assert_not_null(strstr(help.out, "look at agents"));
    OUTCOME version = RUN("--version");
    cr_assert_str_eq(version.out, "prog " PORTICO_VERSION "\n");
}

Test(command_line, check_says_what_was_read)
{
    OUTCOME o = RUN("-t", "-c", "tests/data/config/grr/grr-server.yaml", "-v");
    cr_assert_eq(o.status, 0, "%s", o.err);
    cr_assert_not_null(strstr(o.out, "configuration ok: 2 files, "));
    cr_assert_not_null(strstr(o.out, "foreign sections: AdminUI ("));
    cr_assert_null(o.config);
}

Test(command_line, a_wrong_file_fails_with_every_problem)
{
    OUTCOME o = RUN("--check-config", "-c", "tests/data/config/ten_mistakes.yaml");
    cr_assert_eq(o.status, EXIT_STATUS_FAILED);
    cr_assert_str_empty(o.out);
    cr_assert_not_null(strstr(o.err, "did you mean Frontend.bind_port?"));
    cr_assert_not_null(strstr(o.err, "10 errors"));
}

Test(command_line, contexts_are_added)
{
    char *directory = make_temporary_directory();
    char *path = write_file(directory, "a.yaml",
                            STR("Debug Context: {Test Context: {Frontend.threads: 5}}\n"));
    OUTCOME o = RUN("-c", path, "--context", "Debug Context,Test Context");
    cr_assert_eq(o.status, -1, "%s", o.err);
    cr_assert_eq(config_int(o.config, "Frontend.threads"), 5);
    free(path);
    remove_temporary_directory(directory);
}

Test(command_line, show_tells_value_and_origin_but_no_secret)
{
    OUTCOME o = RUN("--show-config", "-c", "tests/data/config/grr/grr-server.yaml", "-p",
                    "Frontend.threads=3");
    cr_assert_eq(o.status, 0, "%s", o.err);
    cr_assert_not_null(strstr(o.out, "Frontend.threads: 3  # -p\n"));
    cr_assert_not_null(strstr(o.out, "Balancer.buffer: 64KiB  # default\n"));
    cr_assert_not_null(strstr(o.out, "PrivateKeys.server_key: (set, not shown)  # writeback "));
    cr_assert_null(strstr(o.out, "PRIVATE KEY"));
}
