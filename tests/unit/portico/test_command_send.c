/* SPDX-License-Identifier: Apache-2.0 */
/* portico send, portico requests: what is queued is what was asked for. */
#include <criterion/criterion.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "runner.h"

#define AGENT "C.0000000000000001"

TestSuite(command_send, .init = site_set_up_with_agent, .fini = site_tear_down);

Test(command_send, a_fresh_flow_is_begun)
{
    RUN run = SITE("send", AGENT, "GetPlatformInfo", "--json");
    json_t *array = run_array(&run);
    cr_assert_eq(json_array_size(array), 1);
    expect_keys(array, 0, "client_id flow_id request_id");
    cr_expect_str_eq(json_string_value(run_member(array, 0, "client_id")), AGENT);
    cr_expect_eq(json_string_length(run_member(array, 0, "flow_id")), 16);
    cr_expect_eq(json_integer_value(run_member(array, 0, "request_id")), 1);
    json_decref(array);
}

Test(command_send, it_can_be_leased_as_it_was_sent)
{
    struct arena arena;
    struct store_request *request = NULL;
    const struct store_lease lease = {10, USEC_PER_MINUTE, 5};
    RUN run = SITE("send", AGENT, "ListDirectory", "--flow", "F:1", "--request", "7", "--args-hex",
                   "00Ff", "--args-type", "ListDirRequest");
    cr_assert_eq(run.status, 0, "%s", run.err);
    arena_init(&arena, 4096, 1 << 20);
    cr_assert_eq(store_lease_requests(site.store, site.agent, &lease, &arena, &request, NULL), 0);
    cr_assert_not_null(request);
    cr_expect(str_equal(request->flow, STR("F:1")));
    cr_expect_eq(request->request, 7);
    cr_expect(str_equal(request->action, STR("ListDirectory")));
    cr_expect(str_equal(request->args_type, STR("ListDirRequest")));
    cr_expect(str_equal(request->args, STR("\x00\xff")));
    cr_expect_eq(request->cpu_limit, USEC_PER_HOUR);
    cr_expect_eq(request->network_limit, (uint64_t)10 << 30);
    cr_expect_null(request->next);
    arena_done(&arena);
}

Test(command_send, requests_lists_it)
{
    RUN one = SITE("send", AGENT, "A", "--flow", "F1");
    RUN two = SITE("send", AGENT, "B", "--flow", "F1", "--args-hex", "0a", "--args-type", "T");
    RUN run = SITE("requests", AGENT, "--json");
    json_t *array = run_array(&run);
    cr_assert_eq(json_array_size(array), 2);
    expect_keys(array, 0, "flow_id request_id action deliveries leased_until_us created_us");
    cr_expect_str_eq(json_string_value(run_member(array, 1, "action")), "B");
    cr_expect_eq(json_integer_value(run_member(array, 1, "request_id")), 2);
    cr_expect_str_eq(json_string_value(run_member(array, 1, "args_hex")), "0a");
    cr_expect_eq(json_integer_value(run_member(array, 1, "deliveries")), 0);
    cr_expect(json_is_null(run_member(array, 1, "leased_until_us")));
    cr_expect(json_is_integer(run_member(array, 1, "created_us")));
    json_decref(array);
    RUN table = SITE("requests", AGENT);
    cr_expect_not_null(strstr(table.out, "queued"), "%s", table.out);
}

static void expect_status(struct run run, int status, const char *words)
{
    cr_expect_eq(run.status, status, "%s", run.err);
    cr_expect_str_eq(run.out, "");
    cr_expect_not_null(strstr(run.err, words), "%s", run.err);
    run_done(&run);
}

#define SEND(...) SITE("send", AGENT, "A", __VA_ARGS__)

Test(command_send, wrong_usage_is_told)
{
    expect_status(SEND("--args-hex", "00"), 2, "go together");
    expect_status(SEND("--args-type", "T"), 2, "go together");
    expect_status(SEND("--args-hex", "000", "--args-type", "T"), 2, "odd number");
    expect_status(SEND("--args-hex", "0g", "--args-type", "T"), 2, "\"g\", digit 2");
    expect_status(SEND("--request", "1"), 2, "needs --flow");
    expect_status(SEND("--flow", "F", "--request", "0"), 2, "number from 1 on");
    expect_status(SEND("--flow", "F", "--request", "9223372036854775808"), 2, "number from 1 on");
    expect_status(SEND("--flow", "a/b"), 2, "cannot be a flow's id");
    expect_status(SEND("--flow", ""), 2, "cannot be a flow's id");
    expect_status(SITE("send", AGENT, ""), 2, "ACTION is empty");
}

Test(command_send, what_cannot_be_sent_is_told)
{
    expect_status(SITE("send", "C.00", "A"), 1, "is no agent's id");
    expect_status(SITE("send", "C.0000000000000002", "A"), 1, "there is no agent");
    RUN once = SEND("--flow", "F", "--request", "3");
    expect_status(SEND("--flow", "F", "--request", "3"), 1, "leave out --request");
    cr_assert_eq(store_set_state(site.store, site.agent, STORE_FORGOTTEN, NULL), 1);
    expect_status(SEND("--flow", "F"), 1, "was forgotten");
    expect_status(SITE("requests", "C.0000000000000002"), 1, "there is no agent");
}

/* Another program holds the database's own lock, for `seconds` or until killed. */
static pid_t hold_store(unsigned seconds)
{
    int ready[2];
    char byte;
    char path[512];
    snprintf(path, sizeof path, "%s/portico.db", site.location);
    cr_assert_eq(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        sqlite3 *db;
        if (sqlite3_open(path, &db) != SQLITE_OK ||
            sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
            write(ready[1], "x", 1) != 1) {
            _exit(1);
        }
        sleep(seconds);
        _exit(0);
    }
    close(ready[1]);
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

Test(command_send, it_waits_for_a_busy_store)
{
    pid_t child = hold_store(1);
    RUN run = SEND("--flow", "F");
    cr_expect_eq(run.status, 0, "%s", run.err);
    waitpid(child, NULL, 0);
}

Test(command_send, a_store_that_stays_locked_is_told)
{
    pid_t child = hold_store(60);
    expect_status(SEND("--flow", "F"), 1, "locked");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    RUN run = SITE("requests", AGENT, "--json");
    cr_expect_str_eq(run.out, "[]\n");
}
