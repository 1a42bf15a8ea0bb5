/* SPDX-License-Identifier: Apache-2.0 */
/* Between scenario.c and scenario_read.c: a tree of YAML becomes a scenario. */
#ifndef PORTICO_FLOOD_SCENARIO_READ_H
#define PORTICO_FLOOD_SCENARIO_READ_H

#include "base/arena.h"
#include "config/config_yaml.h"
#include "scenario.h"

/* Fill in everything but name and path; all memory is the arena's. `root` NULL: an empty file.
 * Problems were added when it cannot be used. 0 or -ENOMEM. */
MUST_CHECK int scenario_read(const struct source *source, const struct node *root,
                             struct arena *arena, struct problems *problems,
                             struct scenario *scenario);

#endif
