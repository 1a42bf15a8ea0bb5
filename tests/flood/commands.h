/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of portico-flood; each returns an exit status. The thread of main(). */
#ifndef PORTICO_FLOOD_COMMANDS_H
#define PORTICO_FLOOD_COMMANDS_H

#include "arguments.h"

struct results;

/* The generator was the bottleneck: no verdict. */
enum { EXIT_STATUS_INVALID = 3 };

int command_run(const struct arguments *arguments);
int command_raw(const struct arguments *arguments);
int command_keys(const struct arguments *arguments);
int command_verify(const struct arguments *arguments);
int command_compare(const struct arguments *arguments);

/* Read the ledger `path` against the store that the configuration names, and fill in what the
 * results say of it. 0 or an exit status. */
int verify_ledger(const struct arguments *arguments, const char *path, struct results *results);

/* What --json, --html and --slo ask for, and the exit status that follows; prints the summary. */
int conclude(const struct arguments *arguments, struct results *results);

/* The words for connecting to --url: target, TLS, safety. 0 or an exit status; *tls (NULL: plain)
 * is the caller's reference. */
struct target;
struct tls_context;
int take_target(const struct arguments *arguments, struct target *target, struct tls_context **tls);

#endif
