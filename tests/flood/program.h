/* SPDX-License-Identifier: Apache-2.0 */
/* The program portico-flood, from argv to an exit status. The thread of main(). */
#ifndef PORTICO_FLOOD_PROGRAM_H
#define PORTICO_FLOOD_PROGRAM_H

#include <stdio.h>

#include "base/compiler.h"

MUST_CHECK int flood_run(int argc, char **argv, FILE *out, FILE *err);

#endif
