/* SPDX-License-Identifier: Apache-2.0 */
#include "runner.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store_sqlite.h"
#include "support/support.h"

struct site site;

/* Output goes to files, which no amount of it fills. */
static int open_output(void)
{
    int fd = memfd_create("output", MFD_CLOEXEC);
    if (fd < 0) {
        abort();
    }
    return fd;
}

static char *read_output(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = malloc((size_t)size + 1);
    if (text == NULL || pread(fd, text, (size_t)size, 0) != size) {
        abort();
    }
    text[size] = '\0';
    close(fd);
    return text;
}

static void become(const char *const *arguments, int out, int err)
{
    char program[] = PORTICO_BINARY;
    char *argv[32] = {program};
    for (size_t i = 0; arguments[i] != NULL && i < 30; i++) {
        argv[i + 1] = (char *)(uintptr_t)arguments[i];
    }
    dup2(open("/dev/null", O_RDONLY), 0);
    dup2(out, 1);
    dup2(err, 2);
    execv(program, argv);
    _exit(127);
}

struct run run_portico(const char *const *arguments)
{
    struct run run;
    int out = open_output();
    int err = open_output();
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        become(arguments, out, err);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        abort();
    }
    run.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    run.out = read_output(out);
    run.err = read_output(err);
    return run;
}

void run_done(struct run *run)
{
    free(run->out);
    free(run->err);
}

json_t *run_array(const struct run *run)
{
    json_error_t error;
    json_t *array = json_loads(run->out, JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(array, "%s at line %d: %s%s", error.text, error.line, run->out, run->err);
    cr_assert(json_is_array(array));
    cr_expect_eq(run->status, 0, "%s", run->err);
    return array;
}

void expect_keys(const json_t *array, size_t index, const char *keys)
{
    const json_t *object = json_array_get(array, index);
    cr_assert(json_is_object(object));
    struct str rest = str_from(keys);
    struct str key;
    while (str_split(&rest, ' ', &key)) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", STR_ARG(key));
        cr_expect_not_null(json_object_get(object, name), "%s", name);
    }
}

json_t *run_member(const json_t *array, size_t index, const char *key)
{
    return json_object_get(json_array_get(array, index), key);
}

void site_set_up(void)
{
    site.directory = make_temporary_directory();
    snprintf(site.location, sizeof site.location, "%s/store", site.directory);
    snprintf(site.parameter, sizeof site.parameter, "Datastore.location=%s", site.location);
}

void site_set_up_with_agent(void)
{
    site_set_up();
    site_open_store();
    site.agent = site_agent(1, STORE_ENROLLED);
}

void site_tear_down(void)
{
    site_close_store();
    remove_temporary_directory(site.directory);
}

void site_open_store(void)
{
    int r = store_sqlite_open(site.location, &clock_system, &site.store, &site.error);
    cr_assert_eq(r, 0, "%s", site.error.message);
}

void site_close_store(void)
{
    store_free(site.store);
    site.store = NULL;
}

struct store_agent_id site_agent(uint64_t n, enum store_agent_state state)
{
    struct store_enrolment enrolment = {.key = STR("a key"), .state = state};
    for (size_t i = 0; i < sizeof enrolment.agent.bytes; i++) {
        enrolment.agent.bytes[i] = (uint8_t)(n >> (8 * (7 - i)));
    }
    int r = store_enrol_agent(site.store, &enrolment, NULL, &site.error);
    cr_assert_geq(r, 0, "%s", site.error.message);
    return enrolment.agent;
}
