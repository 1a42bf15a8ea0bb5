/* SPDX-License-Identifier: Apache-2.0 */
/* Where a run sends its load: an http:// or https:// URL, looked up once, and whether anybody could
 * mind. A plain value. */
#ifndef PORTICO_FLOOD_TARGET_H
#define PORTICO_FLOOD_TARGET_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"
#include "net/address.h"

enum { TARGET_HOST_BYTES = 256, TARGET_PATH_BYTES = 1024 };

struct target {
    struct address address;
    char host[TARGET_HOST_BYTES];           /* without port and brackets: whom TLS must find */
    char authority[TARGET_HOST_BYTES + 16]; /* as the Host field has it */
    char path[TARGET_PATH_BYTES];           /* with query; ends in "/" for agents, see below */
    bool is_tls;
    bool is_loopback;
};

/* Understand `url` and look its name up, which may block. 0, -EINVAL or -EHOSTUNREACH with words.
 */
MUST_CHECK int target_parse(struct str url, struct target *target, struct error *error);

/* Nobody else is hit: a loopback, link-local or private address. */
bool target_is_ours(const struct target *target);

#endif
