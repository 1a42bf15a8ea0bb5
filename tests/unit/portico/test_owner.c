/* SPDX-License-Identifier: Apache-2.0 */
/* Files that root makes for others. Most of it only root can try. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "owner.h"
#include "support/support.h"

enum { SOMEBODY = 65534 };

static char *directory;

static void set_up(void)
{
    directory = make_temporary_directory();
}

static void tear_down(void)
{
    remove_temporary_directory(directory);
}

TestSuite(owner, .init = set_up, .fini = tear_down);

static void need_root(void)
{
    if (geteuid() != 0) {
        cr_skip_test("only root gives files away");
    }
}

static uid_t uid_of(const char *path)
{
    struct stat status;
    cr_assert_eq(lstat(path, &status), 0);
    return status.st_uid;
}

Test(owner, users_are_found_by_name)
{
    struct owner owner;
    cr_expect_eq(owner_find("root", &owner), 0);
    cr_expect_eq(owner.uid, 0);
    cr_expect_eq(owner_find("no-such-user", &owner), -ENOENT);
}

Test(owner, gives_what_is_ours)
{
    const struct owner somebody = {SOMEBODY, SOMEBODY};
    need_root();
    cr_expect_eq(owner_give(directory, &somebody), 0);
    cr_expect_eq(uid_of(directory), SOMEBODY);
}

Test(owner, what_is_another_ones_stays_so)
{
    const struct owner somebody = {SOMEBODY, SOMEBODY};
    need_root();
    cr_assert_eq(chown(directory, 1, 1), 0);
    cr_expect_eq(owner_give(directory, &somebody), 0);
    cr_expect_eq(uid_of(directory), 1);
}

Test(owner, follows_no_links)
{
    const struct owner somebody = {SOMEBODY, SOMEBODY};
    char link[512];
    need_root();
    snprintf(link, sizeof link, "%s/link", directory);
    cr_assert_eq(symlink(directory, link), 0);
    cr_expect_eq(owner_give(link, &somebody), 0);
    cr_expect_eq(uid_of(link), SOMEBODY);
    cr_expect_eq(uid_of(directory), 0);
}

Test(owner, root_goes_on_as_the_owner_for_good)
{
    need_root();
    cr_assert_eq(chown(directory, SOMEBODY, SOMEBODY), 0);
    cr_expect_eq(owner_become(directory), 0);
    cr_expect_eq(getuid(), SOMEBODY);
    cr_expect_eq(getegid(), SOMEBODY);
    cr_expect_eq(getgroups(0, NULL), 0);
    cr_expect_eq(seteuid(0), -1);
}

Test(owner, root_stays_root_for_what_is_its_own)
{
    need_root();
    cr_expect_eq(owner_become(directory), 0);
    cr_expect_eq(owner_become("/nonexistent"), 0);
    cr_expect_eq(geteuid(), 0);
}
