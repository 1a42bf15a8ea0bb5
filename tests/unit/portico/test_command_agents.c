/* SPDX-License-Identifier: Apache-2.0 */
/* portico agents, against a store that the test made. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner.h"
#include "support/support.h"

TestSuite(command_agents, .init = site_set_up, .fini = site_tear_down);

#define KEYS "client_id enrolled first_seen_us last_seen_us clock_us last_ip"

static void sight(struct store_agent_id agent, usec_t at, usec_t clock, struct str address)
{
    struct store_bundle bundle = {.agent = agent, .sighting = {at, clock, address}};
    struct store_commit commit = {.bundle = &bundle};
    cr_assert_eq(store_commit(site.store, &commit, 1, STORE_DURABLE, &site.error), 0);
    cr_assert_eq(commit.result, 0);
}

Test(command_agents, list_has_the_keys_that_scripts_need)
{
    site_open_store();
    usec_t later = clock_wall(&clock_system) + USEC_PER_HOUR;
    sight(site_agent(1, STORE_ENROLLED), later, 42, STR("192.0.2.7"));
    site_agent(2, STORE_PENDING);
    RUN run = SITE("agents", "list", "--json");
    json_t *array = run_array(&run);
    cr_assert_eq(json_array_size(array), 2);
    expect_keys(array, 0, KEYS);
    expect_keys(array, 1, KEYS);
    cr_expect_str_eq(json_string_value(run_member(array, 0, "client_id")), "C.0000000000000001");
    cr_expect(json_is_true(run_member(array, 0, "enrolled")));
    cr_expect(json_is_integer(run_member(array, 0, "first_seen_us")));
    cr_expect_eq(json_integer_value(run_member(array, 0, "last_seen_us")), later);
    cr_expect_eq(json_integer_value(run_member(array, 0, "clock_us")), 42);
    cr_expect_str_eq(json_string_value(run_member(array, 0, "last_ip")), "192.0.2.7");
    cr_expect(json_is_false(run_member(array, 1, "enrolled")));
    cr_expect(json_is_null(run_member(array, 1, "clock_us")));
    cr_expect(json_is_null(run_member(array, 1, "last_ip")));
    json_decref(array);
}

Test(command_agents, an_empty_store_has_an_empty_list)
{
    site_open_store();
    RUN json = SITE("--json", "agents", "list");
    cr_expect_str_eq(json.out, "[]\n");
    RUN table = SITE("agents", "list");
    cr_expect_str_eq(table.out, "There are no agents yet.\n");
}

Test(command_agents, tables_are_aligned_and_harmless)
{
    site_open_store();
    sight(site_agent(1, STORE_ENROLLED), 1, 42, STR("\x1b[2Jx"));
    RUN run = SITE("agents", "list");
    cr_expect_eq(run.status, 0);
    const char *row = strchr(run.out, '\n') + 1;
    cr_expect_eq(strstr(run.out, "STATE") - run.out, strstr(row, "enrolled") - row);
    cr_expect_null(strchr(run.out, '\x1b'));
    RUN show = SITE("agents", "show", "C.0000000000000001");
    cr_expect_null(strchr(show.out, '\x1b'), "%s", show.out);
}

Test(command_agents, show_has_one)
{
    site_open_store();
    site_agent(1, STORE_ENROLLED);
    site_agent(2, STORE_ENROLLED);
    RUN run = SITE("agents", "show", "C.0000000000000002", "--json");
    json_t *array = run_array(&run);
    cr_assert_eq(json_array_size(array), 1);
    expect_keys(array, 0, KEYS " state");
    cr_expect_str_eq(json_string_value(run_member(array, 0, "client_id")), "C.0000000000000002");
    json_decref(array);
}

static void expect_change(struct run run, const char *state, bool is_changed)
{
    json_t *array = run_array(&run);
    cr_expect_str_eq(json_string_value(run_member(array, 0, "state")), state);
    cr_expect_eq(json_is_true(run_member(array, 0, "changed")), is_changed);
    json_decref(array);
    run_done(&run);
}

Test(command_agents, agents_are_approved_and_forgotten)
{
    const char *id = "C.0000000000000003";
    site_open_store();
    site_agent(3, STORE_PENDING);
    expect_change(SITE("agents", "approve", id, "--json"), "enrolled", true);
    expect_change(SITE("agents", "approve", id, "--json"), "enrolled", false);
    expect_change(SITE("agents", "forget", id, "--json"), "forgotten", true);
    expect_change(SITE("agents", "forget", id, "--json"), "forgotten", false);
    RUN run = SITE("agents", "approve", id);
    cr_expect_eq(run.status, 1);
    cr_expect_not_null(strstr(run.err, "has to enrol again"), "%s", run.err);
}

static void expect_failure(struct run run, const char *words)
{
    cr_expect_eq(run.status, 1, "%s", run.err);
    cr_expect_str_eq(run.out, "");
    cr_expect_not_null(strstr(run.err, words), "%s", run.err);
    run_done(&run);
}

Test(command_agents, what_is_no_agent_is_told)
{
    site_open_store();
    expect_failure(SITE("agents", "show", "C.0000000000000009"), "there is no agent");
    expect_failure(SITE("agents", "forget", "C.0000000000000009"), "there is no agent");
    expect_failure(SITE("agents", "approve", "C.0000000000000009", "--json"), "there is no agent");
    expect_failure(SITE("agents", "show", "C.000000000000000G"), "is no agent's id");
    expect_failure(SITE("agents", "show", "C.00000000000000AB"), "lower-case");
    expect_failure(SITE("agents", "show", "\x1b[2J"), "is no agent's id");
}

Test(command_agents, a_missing_store_is_told_and_not_made)
{
    expect_failure(SITE("agents", "list", "--json"), "there is no store in");
    cr_expect_neq(access(site.location, F_OK), 0);
    cr_assert_eq(mkdir(site.location, 0700), 0);
    expect_failure(SITE("agents", "list"), "there is no store in");
    cr_expect_eq(rmdir(site.location), 0); /* still empty */
}

Test(command_agents, a_damaged_store_is_told)
{
    cr_assert_eq(mkdir(site.location, 0700), 0);
    char *path = write_file(site.location, "portico.db",
                            STR("this is no database, but long enough "
                                "to be taken for a damaged one"));
    expect_failure(SITE("agents", "list"), "cannot open the store");
    free(path);
}

/* Enrolling thousands is quick where fsync() costs nothing. */
static void set_up_in_memory(void)
{
    if (access("/dev/shm", W_OK | X_OK) == 0) {
        setenv("TMPDIR", "/dev/shm", 1);
    }
    site_set_up();
}

TestSuite(command_agents_many, .init = set_up_in_memory, .fini = site_tear_down);

/* More than two dozen pages, every one once and in order. */
Test(command_agents_many, a_long_list_is_whole)
{
    enum { AGENTS = 25000 };
    site_open_store();
    for (uint64_t i = 1; i <= AGENTS; i++) {
        site_agent(i, STORE_ENROLLED);
    }
    RUN run = SITE("agents", "list", "--json");
    json_t *array = run_array(&run);
    cr_assert_eq(json_array_size(array), AGENTS);
    for (size_t i = 0; i < AGENTS; i++) {
        char id[32];
        snprintf(id, sizeof id, "C.%016zx", i + 1);
        cr_assert_str_eq(json_string_value(run_member(array, i, "client_id")), id);
    }
    json_decref(array);
    RUN table = SITE("agents", "list");
    size_t lines = 0;
    for (const char *c = table.out; *c != '\0'; c++) {
        lines += *c == '\n';
    }
    cr_expect_eq(lines, AGENTS + 1);
}
