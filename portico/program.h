/* SPDX-License-Identifier: Apache-2.0 */
/* The program portico: which commands there are, and from argv to one of them. The thread of
 * main().
 */
#ifndef PORTICO_COMMAND_PROGRAM_H
#define PORTICO_COMMAND_PROGRAM_H

#include <stdio.h>

#include "base/compiler.h"

/* The exit status. */
MUST_CHECK int program_run(int argc, char **argv, FILE *out, FILE *err);

#endif
