/* SPDX-License-Identifier: Apache-2.0 */
/* Users by name, files to users, and from root to a user. One thread. */
#include "owner.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRY_BYTES = 16 * 1024 };

int owner_find(const char *name, struct owner *owner)
{
    char entry[ENTRY_BYTES];
    struct passwd user;
    struct passwd *found = NULL;
    int code = getpwnam_r(name, &user, entry, sizeof entry, &found);
    if (found == NULL) {
        return code == 0 ? -ENOENT : -code;
    }
    *owner = (struct owner){user.pw_uid, user.pw_gid};
    return 0;
}

int owner_give(const char *path, const struct owner *owner)
{
    struct stat status;
    if (lstat(path, &status) < 0) {
        return -errno;
    }
    if (status.st_uid != geteuid() || status.st_uid == owner->uid) {
        return 0;
    }
    return lchown(path, owner->uid, owner->gid) < 0 ? -errno : 0;
}

/* For good: what follows may be led by files that this user can change. */
int owner_become(const char *path)
{
    struct stat status;
    if (geteuid() != 0 || stat(path, &status) < 0 || status.st_uid == 0) {
        return 0;
    }
    if (setgroups(0, NULL) < 0 || setresgid(status.st_gid, status.st_gid, status.st_gid) < 0 ||
        setresuid(status.st_uid, status.st_uid, status.st_uid) < 0) {
        return -errno;
    }
    return 0;
}
