/* SPDX-License-Identifier: Apache-2.0 */
/* Whom files belong to. Administrators work as root, the services do not: what root makes for them
 * must be theirs, and what is theirs root should not touch as root. One thread. */
#ifndef PORTICO_COMMAND_OWNER_H
#define PORTICO_COMMAND_OWNER_H

#include <sys/types.h>

#include "base/compiler.h"

#define SERVICE_USER "portico" /* whom packages make */

struct owner {
    uid_t uid;
    gid_t gid; /* the user's own */
};

/* 0; -ENOENT: there is no such user; or another negative errno. */
MUST_CHECK int owner_find(const char *name, struct owner *owner);

/* Give a file or directory that belongs to us to somebody else; what is not ours stays as it is,
 * and links are not followed. 0 or a negative errno. */
MUST_CHECK int owner_give(const char *path, const struct owner *owner);

/* As root: go on as the one to whom `path` belongs, for the rest of the process. Else, or when
 * there is no such path, nothing. 0 or a negative errno. */
MUST_CHECK int owner_become(const char *path);

#endif
