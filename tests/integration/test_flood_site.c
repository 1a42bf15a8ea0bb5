/* SPDX-License-Identifier: Apache-2.0 */
/* The real portico-flood before all of a machine, the balancer in front: agents see no failure
 * while frontends die or are restarted, and whatever happens, what was acknowledged is stored once.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "report.h"
#include "support/site.h"
#include "support/support.h"

enum { AGENTS = 60, EXIT_INVALID = 3, ARGUMENTS_MAX = 24, PATH_SIZE = 512 };

static struct site site;

static void set_up(void)
{
    site_init(&site);
    site_start(&site);
}

static void tear_down(void)
{
    site_done(&site);
}

TestSuite(flood_site, .init = set_up, .fini = tear_down, .timeout = 240);

static const char *in_place(const char *name)
{
    static char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", site.place.directory, name);
    return path;
}

/* ---- The load tool ---- */

static void become(const char *const *arguments)
{
    int output = open(in_place("flood.log"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execv(PORTICO_FLOOD, (char *const *)(uintptr_t)arguments);
    _exit(99);
}

static pid_t flood_start(const char *const *arguments)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        become(arguments);
    }
    return pid;
}

static int flood_wait(pid_t pid)
{
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Run with `more` (ended by NULL) beside what all runs have; all of it is under way at the end. */
static pid_t start_agents(const char *const *more)
{
    static char url[64];
    static char report[PATH_SIZE];
    const char *arguments[ARGUMENTS_MAX] = {
        PORTICO_FLOOD, "run", "--url", url, "--agents", "60", "--json", report, "--closing", "60s"};
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", site_balancer_port(&site));
    snprintf(report, sizeof report, "%s", in_place("report.json"));
    for (unsigned n = 10; *more != NULL && n < ARGUMENTS_MAX - 1; n++) {
        arguments[n] = *more++;
    }
    return flood_start(arguments);
}

static pid_t start_steady(void)
{
    static const char *const steady[] = {"--period",   "0.3s", "--duration", "2.5s",
                                         "--messages", "1",    NULL};
    return start_agents(steady);
}

/* Until agents poll, and then a little. */
static void let_it_poll(void)
{
    while (access(in_place("report.json.ledger"), F_OK) < 0) {
        sleep_for(10 * USEC_PER_MSEC);
    }
    sleep_for(800 * USEC_PER_MSEC);
}

/* A busy machine may make the generator late, which is no verdict on the server. */
static void expect_run(pid_t pid)
{
    int status = flood_wait(pid);
    size_t len;
    char *log =
        status == 0 || status == EXIT_INVALID ? NULL : read_file(in_place("flood.log"), &len);
    cr_expect_null(log, "status %d: %s", status, log);
    free(log);
}

/* The store has all that was acknowledged, once, and nothing is owed. To be freed. */
static struct results *settle_accounts(void)
{
    char report[PATH_SIZE];
    char location[PATH_SIZE + 32];
    struct results *results = NULL;
    struct error error = {.line = 0};
    snprintf(report, sizeof report, "%s", in_place("report.json"));
    snprintf(location, sizeof location, "Datastore.location=%s", in_place("store"));
    const char *arguments[] = {PORTICO_FLOOD, "verify", "--report", report, "-p", location, NULL};
    cr_expect_eq(flood_wait(flood_start(arguments)), 0);
    cr_assert_eq(report_read_json(report, &results, &error), 0, "%s", error.message);
    const struct totals *totals = &results->totals;
    cr_expect(results->ledger_is_checked);
    cr_expect_gt(totals->messages_acknowledged, 0);
    cr_expect_eq(totals->messages_stored, totals->messages_acknowledged);
    cr_expect_eq(totals->messages_lost, 0);
    cr_expect_eq(totals->messages_duplicated, 0);
    cr_expect_eq(totals->messages_owed, 0);
    cr_expect_eq(totals->messages_sent, totals->messages_acknowledged);
    return results;
}

static void expect_no_failure(void)
{
    struct results *results = settle_accounts();
    cr_expect_eq(results_failed(results), 0, "%llu failed, such as %s",
                 (unsigned long long)results_failed(results), results->failures[0].name);
    results_free(results);
}

/* ---- Tests ---- */

Test(flood_site, an_undisturbed_run_fails_no_poll)
{
    expect_run(start_steady());
    expect_no_failure();
    struct results *results = settle_accounts();
    cr_expect_eq(results->totals.enrolled, AGENTS);
    results_free(results);
}

Test(flood_site, a_killed_frontend_fails_no_poll)
{
    pid_t flood = start_steady();
    let_it_poll();
    site_kill(&site, 1);
    site_wait_until_said(&site, "serves again");
    expect_run(flood);
    expect_no_failure();
}

/* Who had polls in the balancer's hands hears that the connection ended, or finds nobody. */
Test(flood_site, a_killed_balancer_fails_polls_and_loses_nothing)
{
    static const char *const reasons[] = {"connect-refused", "closed", "reset", "truncated"};
    pid_t flood = start_steady();
    let_it_poll();
    site_kill(&site, SITE_FRONTENDS);
    site_wait_until_said(&site, "balancer serves again");
    expect_run(flood);
    struct results *results = settle_accounts();
    uint64_t known = 0;
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        known += results_failures(results, str_from(reasons[i]));
    }
    cr_expect_eq(results_failed(results), known, "such as %s", results->failures[0].name);
    results_free(results);
}

Test(flood_site, a_rolling_restart_at_an_event_fails_no_poll)
{
    char restart[64];
    const char *const rolling[] = {"--scenario", "rolling-restart", "--duration",
                                   "3s",         "--period",        "0.3s",
                                   "--on",       restart,           NULL};
    snprintf(restart, sizeof restart, "rolling-restart=kill -HUP %d", (int)site.supervisor);
    expect_run(start_agents(rolling));
    site_wait_until_said(&site, "rolling restart: done");
    struct results *results = settle_accounts();
    cr_expect_eq(results->event_count, 1);
    cr_expect_str_eq(results->events[0].outcome, "ended with status 0");
    results_free(results);
    expect_no_failure();
}
