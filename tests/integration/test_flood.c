/* SPDX-License-Identifier: Apache-2.0 */
/* The real portico-flood against a real instance: what it says happened is in the store. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "base/check.h"
#include "report.h"
#include "store/store.h"
#include "support/instance.h"
#include "support/support.h"
#include "wire/rsa.h"

enum { AGENTS = 10, EXIT_INVALID = 3 };

static struct rsa_key *server;
static struct instance_keys keys;
static struct instance instance;

static void set_up(void)
{
    CHECK(rsa_generate(2048, NULL, &server) == 0);
    instance_keys_make(server, &keys);
    instance_init(&instance, &keys);
    instance_start(&instance);
}

static void tear_down(void)
{
    instance_done(&instance);
    instance_keys_free(&keys);
    rsa_key_free(server);
}

TestSuite(flood, .init = set_up, .fini = tear_down, .timeout = 100);

/* In the instance's directory. The exit status. */
static int flood(const char *arguments)
{
    char command[2048];
    snprintf(command, sizeof command,
             "cd %s && %s %s -p Datastore.location=%s/store >flood.log 2>&1", instance.directory,
             PORTICO_FLOOD, arguments, instance.directory);
    /* NOLINTNEXTLINE(cert-env33-c): a shell is what joins directory and redirection */
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static struct results *read_report(void)
{
    char path[512];
    struct results *results = NULL;
    struct error error = {.line = 0};
    snprintf(path, sizeof path, "%s/report.json", instance.directory);
    cr_assert_eq(report_read_json(path, &results, &error), 0, "%s", error.message);
    return results;
}

/* On a busy machine the generator may be late, which makes the run no verdict but no less a run.
 * Agents keep their own time: while the disk is slow they wait, where a rate would go on without
 * them. */
static struct results *run_agents(void)
{
    char options[512];
    snprintf(options, sizeof options,
             "run --url http://127.0.0.1:%u/ --agents %d --period 0.25s --duration 2s --messages 1 "
             "--keys keys --json report.json",
             instance.port, AGENTS);
    int status = flood(options);
    cr_assert(status == 0 || status == EXIT_INVALID, "exit status %d", status);
    struct results *results = read_report();
    cr_expect_eq(results_failed(results), 0, "%s", results->failures[0].name);
    return results;
}

static void ask_all(void)
{
    struct arena arena;
    struct store_agent *agent = NULL;
    struct store *store = instance_store(&instance);
    const struct store_agent_query query = {.limit = 100};
    arena_init(&arena, 4096, 1 << 20);
    CHECK(store_list_agents(store, &query, &arena, &agent, NULL) >= 0);
    for (; agent != NULL; agent = agent->next) {
        struct store_request_name name;
        const struct store_request request = {.agent = agent->id,
                                              .flow = STR(""),
                                              .action = STR("Echo"),
                                              .args = STR("hello"),
                                              .args_type = STR("RDFString")};
        CHECK(store_queue_request(store, &request, &name, NULL) == 0);
    }
    arena_done(&arena);
    store_free(store);
}

Test(flood, what_was_acknowledged_is_stored_once)
{
    CHECK(flood("keys --agents 10 -o keys") == 0);
    struct results *results = run_agents();
    cr_expect_eq(results->totals.enrolled, AGENTS);
    cr_expect_gt(results->totals.messages_sent, AGENTS);
    cr_expect_eq(results->totals.messages_acknowledged, results->totals.messages_sent);
    results_free(results);
    cr_expect_eq(flood("verify --report report.json"), 0);
}

Test(flood, requests_are_delivered_answered_and_completed)
{
    CHECK(flood("keys --agents 10 -o keys") == 0);
    results_free(run_agents());
    ask_all();
    sleep_for(USEC_PER_SEC / 2);
    struct results *results = run_agents();
    cr_expect_eq(results->totals.requests_delivered, AGENTS);
    cr_expect_eq(results->totals.requests_answered, AGENTS);
    results_free(results);
    cr_expect_eq(flood("verify --report report.json"), 0);
}

Test(flood, a_lost_message_is_found_out)
{
    CHECK(flood("keys --agents 10 -o keys") == 0);
    results_free(run_agents());
    instance_kill(&instance);
    char command[512];
    /* Another store, with nothing in it. */
    snprintf(command, sizeof command, "rm -r %s/store", instance.directory);
    /* NOLINTNEXTLINE(cert-env33-c): a shell is what joins directory and redirection */
    CHECK(system(command) == 0);
    store_free(instance_store(&instance));
    cr_expect_eq(flood("verify --report report.json"), 1);
    struct results *results = read_report();
    cr_expect(results->ledger_is_checked);
    cr_expect_gt(results->totals.messages_acknowledged, AGENTS);
    cr_expect_eq(results->totals.messages_lost, results->totals.messages_acknowledged);
    results_free(results);
}

Test(flood, strangers_are_not_loaded)
{
    cr_expect_eq(flood("run --url http://192.0.2.1/"), 2);
    cr_expect_eq(flood("raw --url http://192.0.2.1/"), 2);
}
