/* SPDX-License-Identifier: Apache-2.0 */
/* The commands, each in the file of its family: command_init.c, command_agents.c, command_send.c,
 * command_lists.c, command_check.c, command_balancer.c, command_run.c, command_backup.c,
 * command_restore.c. All return an exit status. */
#ifndef PORTICO_COMMAND_COMMANDS_H
#define PORTICO_COMMAND_COMMANDS_H

struct operation;

#define COMMAND(name, meaning, details)
#define OPERATION(command, verb, arguments, synopsis, flags, run) \
    int run(const struct operation *operation);
#include "commands.def"

#endif
