/* SPDX-License-Identifier: Apache-2.0 */
/* SIGHUP: read the configuration again and apply what a reload can change. Everything is prepared
 * first; a mistake anywhere changes nothing. The main thread. */
#ifndef PORTICO_FRONTEND_RELOAD_H
#define PORTICO_FRONTEND_RELOAD_H

#include "base/compiler.h"
#include "base/log.h"
#include "frontend.h"

struct command_line;
struct config;

/* What -v and Logging.verbose, Logging.level ask for. */
bool reload_wants_verbose(const struct command_line *line, const struct config *config);
enum log_level reload_log_level(const struct command_line *line, const struct config *config);

/* Load as `line` says and apply. *config is replaced (and its reference dropped) when that worked.
 * Says in the log what happened, with the place of each mistake, and what needs a restart. 0, or a
 * negative errno: nothing changed. */
MUST_CHECK int reload(struct frontend *frontend, const struct command_line *line,
                      struct config **config);

#endif
