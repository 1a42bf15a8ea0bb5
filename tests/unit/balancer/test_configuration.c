/* SPDX-License-Identifier: Apache-2.0 */
#include "configuration.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"

struct outcome {
    size_t errors;
    char *told;
};

static struct outcome check(const char *yaml)
{
    struct outcome outcome;
    struct config *config = NULL;
    size_t size;
    char *directory = make_temporary_directory();
    char *path = write_file(directory, "a.yaml", str_from(yaml));
    const char *files[] = {path};
    const struct config_request request = {
        .program = PROGRAM_BALANCER, .files = files, .file_count = 1};
    struct problems *problems = problems_new(100);
    FILE *told = open_memstream(&outcome.told, &size);
    cr_assert_eq(config_load(&request, problems, &config), 0, "%s", yaml);
    configuration_check(config, problems);
    outcome.errors = problems_errors(problems);
    problems_print(problems, told);
    fclose(told);
    config_unref(config);
    problems_free(problems);
    free(path);
    remove_temporary_directory(directory);
    return outcome;
}

static void assert_told(const char *yaml, const char *words)
{
    struct outcome outcome = check(yaml);
    cr_assert_eq(outcome.errors, 1, "%s", outcome.told);
    cr_assert_not_null(strstr(outcome.told, words), "not %s: %s", words, outcome.told);
    free(outcome.told);
}

static void assert_fine(const char *yaml)
{
    struct outcome outcome = check(yaml);
    cr_assert_eq(outcome.errors, 0, "%s", outcome.told);
    free(outcome.told);
}

Test(configuration, of_nothing_is_fine)
{
    assert_fine("");
}

Test(configuration, a_bad_host_is_told_at_its_place)
{
    assert_told("# hosts\nBalancer.hosts: [good, 'no host!']\n",
                "a.yaml:2:17: error: Balancer.hosts");
    assert_told("Balancer.hosts: 'good:0'\n", "a.yaml:1:17: error: Balancer.hosts");
    assert_fine("Balancer.hosts: [good, '[::1]:80', '10.0.0.1']\n");
}

Test(configuration, a_bad_probe_path_is_told_at_its_place)
{
    assert_told("Balancer:\n  probe_path: healthz\n", "a.yaml:2:15: error: Balancer.probe_path");
    assert_told("Balancer.probe_path: '/a b'\n", "a.yaml:1:22: error: Balancer.probe_path");
    assert_fine("Balancer.probe_path: ''\n");
}

Test(configuration, a_tls_port_without_certificates_is_told_at_its_place)
{
    assert_told("Balancer.tls_bind_port: 8443\n", "a.yaml:1:25: error: Balancer.tls_bind_port");
}

Test(configuration, bad_certificates_are_told_at_their_place)
{
    char yaml[512];
    char *directory = make_temporary_directory();
    char *pem = write_file(directory, "x.pem", STR("no certificate"));
    snprintf(yaml, sizeof yaml, "Balancer.tls_bind_port: 8443\nBalancer.tls_certificates: %s\n",
             pem);
    assert_told(yaml, "a.yaml:2:28: error: Balancer.tls_certificates");
    remove(pem);
    assert_told(yaml, "a.yaml:2:28: error: Balancer.tls_certificates");
    free(pem);
    remove_temporary_directory(directory);
}

Test(configuration, mistakes_are_told_together)
{
    struct outcome outcome =
        check("Balancer.hosts: 'no host!'\nBalancer.probe_path: x\nBalancer.tls_bind_port: 8443\n");
    cr_assert_eq(outcome.errors, 3, "%s", outcome.told);
    free(outcome.told);
}
