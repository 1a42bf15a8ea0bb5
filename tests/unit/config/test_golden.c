/* SPDX-License-Identifier: Apache-2.0 */
/* What people read when a file is wrong: tests/data/config/NAME.yaml and NAME.expected. */
#include <criterion/criterion.h>
#include <dirent.h>

#include "config/config.h"
#include "support/support.h"

#define DIRECTORY "tests/data/config/"

/* As the real one, but with the permissions that a checkout cannot keep. */
static int read_private(void *context, const char *path, size_t max, struct buffer *out,
                        struct file_facts *facts)
{
    int code = config_system_real.read_file(context, path, max, out, facts);
    facts->mode &= ~(mode_t)077;
    return code;
}

static const char *no_environment(void *context, const char *name)
{
    (void)context;
    (void)name;
    return NULL;
}

static char *told_about(const char *path)
{
    const struct config_system system = {read_private, no_environment, NULL};
    const struct config_request request = {
        .program = PROGRAM_PORTICO, .files = &path, .file_count = 1, .system = &system};
    struct problems *problems = problems_new(100);
    struct config *config = NULL;
    char *told = NULL;
    size_t size;
    FILE *out = open_memstream(&told, &size);
    cr_assert_lt(config_load(&request, problems, &config), 0, "%s loads", path);
    problems_print(problems, out);
    fclose(out);
    problems_free(problems);
    return told;
}

static void compare(const char *name)
{
    char path[512];
    size_t len;
    snprintf(path, sizeof path, DIRECTORY "%s.expected", name);
    char *expected = read_file(path, &len);
    snprintf(path, sizeof path, DIRECTORY "%s.yaml", name);
    char *told = told_about(path);
    cr_expect_str_eq(told, expected, "%s:\n%s", path, told);
    free(told);
    free(expected);
}

Test(golden, every_mistake_is_told_as_expected)
{
    DIR *directory = opendir(DIRECTORY);
    unsigned compared = 0;
    cr_assert_not_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char *dot = strrchr(entry->d_name, '.');
        if (dot != NULL && strcmp(dot, ".expected") == 0) {
            *dot = '\0';
            compare(entry->d_name);
            compared++;
        }
    }
    closedir(directory);
    cr_assert_geq(compared, 20);
}

Test(golden, ten_mistakes_are_ten_errors)
{
    char *told = told_about(DIRECTORY "ten_mistakes.yaml");
    unsigned errors = 0;
    for (const char *at = told; (at = strstr(at, ": error: ")) != NULL; at++) {
        errors++;
    }
    cr_assert_eq(errors, 10);
    free(told);
}
