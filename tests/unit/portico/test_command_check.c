/* SPDX-License-Identifier: Apache-2.0 */
/* portico check: each mistake is found, and told with what mends it. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/socket.h"
#include "runner.h"
#include "support/support.h"

static char file[512];

/* Ports of the machine on which tests run may be taken, so each test brings some. */
static char ports[3][64];

static uint16_t vacant_port(void)
{
    struct address address;
    struct listen_options options = {.backlog = 1};
    cr_assert_eq(address_from_host(STR("::"), 0, &address, NULL), 0);
    int fd = socket_listen(&address, &options, NULL);
    cr_assert_geq(fd, 0);
    cr_assert_eq(socket_local_address(fd, &address), 0);
    close(fd);
    return address_port(&address);
}

static void set_up(void)
{
    unsigned port = vacant_port();
    site_set_up();
    snprintf(file, sizeof file, "%s/portico.local.yaml", site.directory);
    RUN run = PORTICO("init", "--directory", site.directory);
    cr_assert_eq(run.status, 0, "%s", run.err);
    snprintf(ports[0], sizeof ports[0], "Frontend.bind_port=%u", port);
    snprintf(ports[1], sizeof ports[1], "Frontend.port_max=%u", port);
    snprintf(ports[2], sizeof ports[2], "Balancer.bind_port=%u", vacant_port());
}

TestSuite(command_check, .init = set_up, .fini = site_tear_down);

#define CHECK_SITE(...)                                                                \
    PORTICO("check", "-c", file, "-p", ports[0], "-p", ports[1], "-p", ports[2], "-p", \
            "Balancer.admin_port=0", "-p", "Frontend.connection_limit=100", __VA_ARGS__)

Test(command_check, what_init_makes_is_fine)
{
    RUN run = CHECK_SITE("-v");
    cr_expect_eq(run.status, 0, "%s%s", run.out, run.err);
    cr_expect_not_null(strstr(run.out, "none yet"), "%s", run.out);
}

Test(command_check, a_store_is_looked_into)
{
    site_open_store();
    site_agent(1, STORE_PENDING);
    RUN run = CHECK_SITE("-v");
    cr_expect_eq(run.status, 0, "%s%s", run.out, run.err);
    cr_expect_not_null(strstr(run.out, "1 agents (1 pending"), "%s", run.out);
}

Test(command_check, a_session_cache_too_small_for_the_agents_is_found)
{
    site_open_store();
    for (uint64_t id = 1; id <= 60; id++) {
        site_agent(id, STORE_ENROLLED);
    }
    RUN fine = CHECK_SITE("-v");
    cr_expect_null(strstr(fine.out, "session cache"), "%s", fine.out);
    RUN run = CHECK_SITE("-p", "Frontend.session_cache=64KiB");
    cr_expect_not_null(strstr(run.out, "60 agents are enrolled"), "%s", run.out);
    cr_expect_not_null(strstr(run.out, "Frontend.session_cache: 1MiB"), "%s", run.out);
}

Test(command_check, findings_come_as_json)
{
    RUN run = CHECK_SITE("--json");
    json_t *array = run_array(&run);
    cr_expect_gt(json_array_size(array), 8);
    for (size_t i = 0; i < json_array_size(array); i++) {
        expect_keys(array, i, "check status message why mend");
    }
    json_decref(array);
}

static void expect_found(struct run run, const char *what, const char *mend)
{
    cr_expect_eq(run.status, 1, "%s%s", run.out, run.err);
    cr_expect_not_null(strstr(run.out, what), "%s", run.out);
    cr_expect_not_null(strstr(run.out, mend), "%s", run.out);
    run_done(&run);
}

Test(command_check, a_readable_key_is_found)
{
    cr_assert_eq(chmod(file, 0644), 0);
    expect_found(CHECK_SITE("-v"), "mode 0644", "chmod 600 ");
}

Test(command_check, an_open_store_is_found)
{
    site_open_store();
    cr_assert_eq(chmod(site.location, 0755), 0);
    expect_found(CHECK_SITE("-v"), "mode 0755", "chmod 700 ");
}

Test(command_check, all_problems_of_the_configuration_are_told)
{
    char *bad = write_file(site.directory, "bad.yaml",
                           STR("Frontend.bind_port: 0\nFrontend.threads: many\n"));
    expect_found(PORTICO("check", "-c", bad), "Frontend.bind_port", "Frontend.threads");
    free(bad);
}

Test(command_check, missing_keys_are_told)
{
    char *empty = write_file(site.directory, "empty.yaml", STR("Frontend.threads: 1\n"));
    expect_found(PORTICO("check", "-c", empty), "PrivateKeys.server_key is not set",
                 "portico init");
    free(empty);
}

Test(command_check, a_damaged_store_is_found)
{
    char *path = write_file(site.location, "portico.db",
                            STR("this is no database, but long enough "
                                "to be taken for a damaged one"));
    expect_found(CHECK_SITE("-v"), "cannot open the store", "portico restore DIR");
    free(path);
}

Test(command_check, missing_directories_are_found)
{
    expect_found(CHECK_SITE("-p", "Runtime.directory=/nonexistent/run"), "there is no directory",
                 "install -d -m 0700 /nonexistent/run");
    expect_found(CHECK_SITE("-p", "Datastore.location=/nonexistent/a/store"),
                 "nothing can be made in", "install -d -m 0700 /nonexistent/a/store");
}

Test(command_check, the_holder_of_a_port_is_named)
{
    char port[64];
    char holder[64];
    struct address address;
    struct listen_options options = {.backlog = 1};
    cr_assert_eq(address_from_host(STR("127.0.0.1"), 0, &address, NULL), 0);
    int fd = socket_listen(&address, &options, NULL);
    cr_assert_geq(fd, 0);
    cr_assert_eq(socket_local_address(fd, &address), 0);
    snprintf(port, sizeof port, "Balancer.bind_port=%u", address_port(&address));
    snprintf(holder, sizeof holder, "(process %d)", (int)getpid());
    expect_found(CHECK_SITE("-p", port), holder, "kill ");
    close(fd);
}

Test(command_check, an_address_of_another_machine_is_found)
{
    expect_found(CHECK_SITE("-p", "Balancer.bind_address=192.0.2.1"), "cannot listen on 192.0.2.1",
                 "choose an address of this machine");
}

Test(command_check, too_few_files_are_found)
{
    expect_found(
        CHECK_SITE("-p", "Frontend.connection_limit=1000000", "-p", "Frontend.idle_timeout=90s"),
        "needs 1000064", "LimitNOFILE");
}

Test(command_check, a_path_too_long_for_sockets_is_found)
{
    char name[256];
    snprintf(name, sizeof name, "Runtime.directory=%s/%0150d", site.directory, 0);
    expect_found(CHECK_SITE("-p", name), "that a socket's path may have", "shorter");
}
