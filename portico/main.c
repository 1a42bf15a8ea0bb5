/* SPDX-License-Identifier: Apache-2.0 */
/* portico, the operator's command. One thread. */
#include <stdio.h>

#include "config/command_line.h"

/* Commands find their place here, a file for each. */
static const struct command commands[] = {
    {NULL, NULL},
};

static const struct program_usage usage = {
    .name = "portico",
    .program = PROGRAM_PORTICO,
    .meaning = "The operator's command of Portico: checks and shows its configuration.",
    .arguments = "",
    .commands = commands,
};

static int run(const struct command_line *line)
{
    struct config *config = NULL;
    int status = command_line_begin(line, stdout, stderr, &config);
    if (status >= 0) {
        return status;
    }
    config_unref(config);
    fputs("portico: what shall be done? Try portico --help.\n", stderr);
    return EXIT_STATUS_USAGE;
}

int main(int argc, char **argv)
{
    struct command_line *line = NULL;
    if (command_line_parse(&usage, argc, argv, stderr, &line) < 0) {
        return EXIT_STATUS_USAGE;
    }
    int status = run(line);
    command_line_free(line);
    /* A full disk or a closed pipe is a failure like any other. */
    return fflush(stdout) == 0 ? status : EXIT_STATUS_FAILED;
}
