/* SPDX-License-Identifier: Apache-2.0 */
/* The real portico-flood against the real balancer: which TLS handshakes are whole, what it says of
 * a server that it cannot trust, and of one that is too slow. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/check.h"
#include "report.h"
#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/certificates.h"
#include "support/support.h"

static struct backends *backends;
static struct balancer_process balancer;

static void set_up(void)
{
    const struct certificate_wish wish = {.common_name = "balancer.test", .names = "IP:127.0.0.1"};
    const struct certificate_wish other = {.common_name = "other.test"};
    struct certificate *certificate = certificate_new(&wish);
    struct certificate *stranger = certificate_new(&other);
    backends = backends_new(2, false);
    balancer_init(&balancer, backends);
    balancer_certify(&balancer, certificate);
    free(write_file(balancer.directory, "stranger.pem", str_from(certificate_pem(stranger))));
    balancer_start_with(&balancer, 2);
    certificate_free(certificate);
    certificate_free(stranger);
}

static void tear_down(void)
{
    balancer_done(&balancer);
    backends_free(backends);
}

TestSuite(flood_balancer, .init = set_up, .fini = tear_down, .timeout = 60);

/* In the balancer's directory, where flood.log says what it said. The exit status. */
static int flood(const char *arguments)
{
    char command[2048];
    snprintf(command, sizeof command, "cd %s && %s %s >flood.log 2>&1", balancer.directory,
             PORTICO_FLOOD, arguments);
    /* NOLINTNEXTLINE(cert-env33-c): a shell is what joins directory and redirection */
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static struct results *run_and_read(const char *arguments)
{
    char path[512];
    struct results *results = NULL;
    struct error error = {.line = 0};
    flood(arguments);
    snprintf(path, sizeof path, "%s/report.json", balancer.directory);
    cr_assert_eq(report_read_json(path, &results, &error), 0, "%s", error.message);
    return results;
}

/* One request after the other, each on a connection of its own. */
static struct results *run_raw(const char *options)
{
    char arguments[512];
    snprintf(arguments, sizeof arguments,
             "raw --url https://127.0.0.1:%u/healthz --close --connections 1 --duration 1 "
             "--json report.json %s",
             balancer.tls_port, options);
    return run_and_read(arguments);
}

Test(flood_balancer, every_connection_but_the_first_resumes)
{
    struct results *results = run_raw("--ca tls.pem");
    uint64_t whole = results->totals.connections - results->totals.tls_resumed;
    cr_expect_gt(results->totals.ok, 3);
    cr_expect_eq(results_failed(results) - results_failures(results, STR("unfinished")), 0, "%s",
                 results->failures[0].name);
    /* The last one may have been cut off by the end of the run. */
    cr_expect(whole == 1 || whole == 2, "%llu of %llu", (unsigned long long)whole,
              (unsigned long long)results->totals.connections);
    results_free(results);
}

Test(flood_balancer, none_does_when_told_not_to)
{
    struct results *results = run_raw("--ca tls.pem --no-resumption");
    cr_expect_gt(results->totals.ok, 3);
    cr_expect_eq(results->totals.tls_resumed, 0);
    results_free(results);
}

Test(flood_balancer, a_certificate_of_another_authority_is_told)
{
    struct results *results = run_raw("--ca stranger.pem");
    uint64_t distrusted = results_failures(results, STR("tls-certificate"));
    cr_expect_eq(results->totals.ok, 0);
    cr_expect_gt(distrusted, 0);
    cr_expect_eq(distrusted + results_failures(results, STR("unfinished")), results_failed(results),
                 "%s", results->failures[0].name);
    results_free(results);
}

Test(flood_balancer, agents_do_not_begin_with_such_a_server)
{
    char arguments[512];
    snprintf(arguments, sizeof arguments,
             "run --url https://127.0.0.1:%u/ --agents 1 --ca stranger.pem", balancer.tls_port);
    cr_expect_eq(flood(arguments), 1);
    char *said = balancer_file(&balancer, "flood.log");
    cr_expect(strstr(said, "TLS certificate") != NULL, "%s", said);
    free(said);
}

/* Requests that found no free connection before the end were due all the same. */
Test(flood_balancer, what_a_slow_server_kept_from_being_sent_is_counted)
{
    char arguments[512];
    for (unsigned i = 0; i < 2; i++) {
        backend_delay(backends_at(backends, i), 300 * USEC_PER_MSEC);
    }
    snprintf(arguments, sizeof arguments,
             "raw --url http://127.0.0.1:%u/slow --connections 1 --duration 1 --rate 50 "
             "--json report.json",
             balancer.port);
    struct results *results = run_and_read(arguments);
    cr_expect_eq(results->totals.planned, 50);
    cr_expect_gt(results->totals.not_started, 0);
    cr_expect_eq(results_failures(results, STR("not-started")), results->totals.not_started);
    cr_expect_leq(results->totals.unfinished, 1); /* there is one connection */
    cr_expect_eq(results->totals.ok + results_failed(results), 50);
    results_free(results);
}
