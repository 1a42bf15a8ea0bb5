/* SPDX-License-Identifier: Apache-2.0 */
#include "private_file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/support.h"

static char *directory;
static char path[512];
static char temporary[PRIVATE_FILE_PATH_MAX];

static void set_up(void)
{
    directory = make_temporary_directory();
    snprintf(path, sizeof path, "%s/keys", directory);
}

static void tear_down(void)
{
    remove_temporary_directory(directory);
}

TestSuite(private_file, .init = set_up, .fini = tear_down);

static void expect_content(const char *expected)
{
    size_t len;
    char *text = read_file(path, &len);
    cr_assert_not_null(text);
    cr_expect_str_eq(text, expected);
    free(text);
}

Test(private_file, is_there_once_it_is_published)
{
    struct stat status;
    umask(0);
    cr_assert_eq(private_file_write(path, STR("secret"), temporary), 0);
    cr_expect_neq(access(path, F_OK), 0);
    cr_assert_eq(private_file_publish(temporary, path), 0);
    expect_content("secret");
    cr_expect_neq(access(temporary, F_OK), 0);
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 07777, 0600);
    cr_expect_eq(status.st_nlink, 1);
}

Test(private_file, replaces_nothing)
{
    free(write_file(directory, "keys", STR("old")));
    cr_assert_eq(private_file_write(path, STR("new"), temporary), 0);
    cr_expect_eq(private_file_publish(temporary, path), -EEXIST);
    expect_content("old");
    cr_expect_neq(access(temporary, F_OK), 0);
}

Test(private_file, can_be_dropped)
{
    cr_assert_eq(private_file_write(path, STR("new"), temporary), 0);
    cr_expect_eq(private_file_drop(temporary, -EINVAL), -EINVAL);
    cr_expect_eq(rmdir(directory), 0);
    cr_assert_eq(mkdir(directory, 0700), 0);
}

Test(private_file, failures_are_told)
{
    snprintf(path, sizeof path, "%s/missing/keys", directory);
    cr_expect_eq(private_file_write(path, STR("x"), temporary), -ENOENT);
}
