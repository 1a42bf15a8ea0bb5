/* SPDX-License-Identifier: Apache-2.0 */
/* portico init: what it writes can be used, and it destroys nothing. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "runner.h"
#include "support/support.h"
#include "wire/certificate.h"

static char file[512];

static void set_up(void)
{
    site_set_up();
    snprintf(file, sizeof file, "%s/portico.local.yaml", site.directory);
}

TestSuite(command_init, .init = set_up, .fini = site_tear_down);

static unsigned mode_of(const char *path)
{
    struct stat status;
    cr_assert_eq(stat(path, &status), 0, "%s", path);
    return status.st_mode & 07777;
}

static void expect_accepted(const char *path)
{
    RUN check = PORTICO("--check-config", "-c", path);
    cr_expect_eq(check.status, 0, "%s", check.err);
    cr_expect_str_eq(check.err, "");
}

Test(command_init, what_it_writes_passes_the_check)
{
    RUN run = PORTICO("init", "--directory", site.directory);
    cr_assert_eq(run.status, 0, "%s", run.err);
    cr_expect_not_null(strstr(run.out, "portico check -c "));
    expect_accepted(file);
}

Test(command_init, only_its_owner_may_read_it)
{
    char path[512];
    umask(0);
    RUN run = PORTICO("init", "--directory", site.directory);
    cr_expect_eq(mode_of(file), 0600);
    snprintf(path, sizeof path, "%s/store", site.directory);
    cr_expect_eq(mode_of(path), 0700);
    snprintf(path, sizeof path, "%s/run", site.directory);
    cr_expect_eq(mode_of(path), 0700);
}

static size_t count_entries(void)
{
    size_t count = 0;
    DIR *directory = opendir(site.directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count - 2;
}

Test(command_init, nothing_else_stays_behind)
{
    RUN run = PORTICO("init", "--directory", site.directory);
    cr_expect_eq(count_entries(), 3); /* the file, store, run */
}

Test(command_init, twice_is_refused_and_changes_nothing)
{
    size_t len;
    size_t len_after;
    RUN first = PORTICO("init", "--directory", site.directory);
    char *before = read_file(file, &len);
    RUN second = PORTICO("init", "--directory", site.directory);
    char *after = read_file(file, &len_after);
    cr_expect_eq(second.status, 1);
    cr_expect_str_eq(second.out, "");
    cr_expect_not_null(strstr(second.err, file), "%s", second.err);
    cr_expect_eq(len, len_after);
    cr_expect_str_eq(before, after);
    cr_expect_eq(count_entries(), 3);
    free(before);
    free(after);
}

Test(command_init, directories_on_the_way_are_made)
{
    char deep[512];
    snprintf(deep, sizeof deep, "%s/a/b/c", site.directory);
    RUN run = PORTICO("init", "--directory", deep);
    cr_assert_eq(run.status, 0, "%s", run.err);
    strcat(deep, "/portico.local.yaml");
    expect_accepted(deep);
}

Test(command_init, places_and_ports_can_be_given)
{
    char place[512];
    snprintf(place, sizeof place, "Datastore.location=%s/elsewhere", site.directory);
    RUN run = PORTICO("init", "--directory", site.directory, "-p", place, "-p",
                      "Frontend.bind_port=9100", "-p", "Frontend.port_max=9103", "--json");
    json_t *array = run_array(&run);
    expect_keys(array, 0, "file store runtime first_port last_port");
    const json_t *object = json_array_get(array, 0);
    cr_expect_eq(json_integer_value(json_object_get(object, "first_port")), 9100);
    cr_expect_eq(json_integer_value(json_object_get(object, "last_port")), 9103);
    json_decref(array);
    RUN show = PORTICO("-c", file, "--show-config");
    cr_expect_not_null(strstr(show.out, place + strlen("Datastore.location=")), "%s", show.out);
    cr_expect_not_null(strstr(show.out, "9103"));
}

Test(command_init, a_path_that_would_be_misread_is_refused)
{
    char odd[512];
    snprintf(odd, sizeof odd, "%s/%%(HOME|env)", site.directory);
    RUN run = PORTICO("init", "--directory", odd);
    cr_expect_eq(run.status, 1);
    cr_expect_not_null(strstr(run.err, "misread"), "%s", run.err);
}

Test(command_init, where_it_may_not_write_it_says_so)
{
    RUN run = PORTICO("init", "--directory", "/proc/portico");
    cr_expect_eq(run.status, 1);
    cr_expect_not_null(strstr(run.err, "cannot create /proc/portico"), "%s", run.err);
}

static struct config *load(void)
{
    const char *files[] = {file};
    const struct config_request request = {
        .program = PROGRAM_FRONTEND, .files = files, .file_count = 1};
    struct problems *problems = problems_new(5);
    struct config *config = NULL;
    cr_assert_eq(config_load(&request, problems, &config), 0);
    problems_free(problems);
    return config;
}

Test(command_init, agents_accept_the_server)
{
    struct rsa_key *authority = NULL;
    struct rsa_key *server = NULL;
    struct certificate_facts facts;
    enum wire_reason reason;
    usec_t now = clock_wall(&clock_system);
    RUN run = PORTICO("init", "--directory", site.directory);
    struct config *config = load();
    cr_assert_eq(certificate_read(str_from(config_str(config, "CA.certificate")), NULL, &authority,
                                  &facts, &reason),
                 0);
    cr_expect_eq(facts.serial, 1);
    cr_assert_eq(certificate_check(str_from(config_str(config, "Frontend.certificate")), authority,
                                   now, 0, NULL, &server, &facts, &reason),
                 0);
    cr_expect_str_eq(facts.common_name, "grr");
    cr_expect_eq(facts.serial, 2);
    cr_expect_eq(rsa_key_bytes(server), 256);
    rsa_key_free(authority);
    rsa_key_free(server);
    config_unref(config);
}

static uid_t owner_of(const char *name)
{
    char path[512];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", site.directory, name);
    cr_assert_eq(stat(path, &status), 0, "%s", path);
    return status.st_uid;
}

Test(command_init, all_of_it_belongs_to_who_serves)
{
    const struct passwd *nobody = getpwnam("nobody");
    if (geteuid() != 0 || nobody == NULL) {
        cr_skip_test("only root gives files away");
    }
    uid_t uid = nobody->pw_uid;
    RUN run = PORTICO("init", "--directory", site.directory, "--user", "nobody");
    cr_assert_eq(run.status, 0, "%s", run.err);
    cr_expect_eq(owner_of("portico.local.yaml"), uid);
    cr_expect_eq(mode_of(file), 0600);
    cr_expect_eq(owner_of("store"), uid);
    cr_expect_eq(owner_of("run"), uid);
}

Test(command_init, below_a_directory_it_stays_ours)
{
    RUN run = PORTICO("init", "--directory", site.directory);
    cr_expect_eq(run.status, 0, "%s", run.err);
    cr_expect_eq(owner_of("portico.local.yaml"), geteuid());
}

Test(command_init, an_unknown_user_is_refused_before_anything_is_made)
{
    RUN run = PORTICO("init", "--directory", site.directory, "--user", "no-such-user");
    cr_expect_eq(run.status, 1);
    cr_expect_not_null(strstr(run.err, "there is no user no-such-user"));
    cr_expect_eq(count_entries(), 0);
}
