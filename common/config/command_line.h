/* SPDX-License-Identifier: Apache-2.0 */
/* The command line that all programs share: common flags, a program's own flags, command words, and
 * from them a loaded configuration. The thread that runs main(). */
#ifndef PORTICO_CONFIG_COMMAND_LINE_H
#define PORTICO_CONFIG_COMMAND_LINE_H

#include <stdbool.h>
#include <stdio.h>

#include "config/config.h"

/* Exit statuses of every program. */
enum {
    EXIT_STATUS_FINE = 0,
    EXIT_STATUS_FAILED = 1,
    EXIT_STATUS_USAGE = 2,
};

/* One flag of a program itself. Its last use counts, unless the program asks for all. */
struct flag {
    const char *name;     /* without the dashes */
    char letter;          /* 0: none */
    const char *argument; /* what --help calls it; NULL: it takes none */
    const char *meaning;
};

/* A command word, such as "agents". */
struct command {
    const char *name;
    const char *meaning;
};

/* What a program tells about itself; constant. Tables end with a NULL name and may be NULL. */
struct program_usage {
    const char *name;
    enum program program;
    const char *meaning;   /* one sentence for --help */
    const char *arguments; /* what --help shows behind the options: "COMMAND", "" */
    const struct flag *flags;
    const struct command *commands; /* NULL: the program has none and takes no words */
    /* What only the program itself can tell to be wrong with values that are fine one by one. Runs
     * at each load that succeeded so far, a reload included; NULL: nothing. */
    void (*check)(struct config *config, struct problems *problems);
};

struct command_line;

/* Understand argv, whose strings must outlive the result. Flags stand anywhere; what follows --
 * does not count as flags. The word after the command and all further ones are kept as they are.
 *
 * 0; -EINVAL: wrong usage, told on `err` with a suggestion: exit with EXIT_STATUS_USAGE; -ENOMEM.
 */
MUST_CHECK int command_line_parse(const struct program_usage *usage, int argc, char **argv,
                                  FILE *err, struct command_line **line);
void command_line_free(struct command_line *line);

/* Do what the common flags ask for. Loads the configuration; its problems go to `err`.
 *
 * An exit status, when there is nothing left to do or it failed; else -1 and *config, which the
 * caller owns. --help, --version and --help-config load nothing. */
MUST_CHECK int command_line_begin(const struct command_line *line, FILE *out, FILE *err,
                                  struct config **config);

/* Load once more, as for a reload. As config_load(). */
MUST_CHECK int command_line_load(const struct command_line *line, struct problems *problems,
                                 struct config **config);

/* The common flags that a configuration comes from, and -v, as another of our programs takes them.
 * At most `room` are written; how many there are is returned. The strings live as long as argv. */
size_t command_line_pass_on(const struct command_line *line, const char **arguments, size_t room);

/* What the common flags ask for: --help; or nothing, so that the program does its own work. For
 * programs that have words of their own to say before command_line_begin(). */
bool command_line_wants_help(const struct command_line *line);
bool command_line_wants_nothing(const struct command_line *line);

/* The argument of a program's flag, "" when it takes none, NULL when it was not given. */
const char *command_line_flag(const struct command_line *line, const char *name);
/* The argument of its use `index`, in the order of the command line; NULL: it came less often. Only
 * of flags that take one. */
const char *command_line_flag_at(const struct command_line *line, const char *name, size_t index);
bool command_line_is_verbose(const struct command_line *line);

/* Words in order, the command first. NULL past the end. */
const char *command_line_word(const struct command_line *line, size_t index);

#endif
