/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 of a file, as sha256sum(1) tells it. Blocks; any thread. */
#ifndef PORTICO_COMMAND_ARCHIVE_SUM_H
#define PORTICO_COMMAND_ARCHIVE_SUM_H

#include "base/compiler.h"
#include "base/error.h"

enum { ARCHIVE_SUM_SIZE = 2 * 32 + 1 };

/* 0, or a negative errno with words. */
MUST_CHECK int archive_sum(const char *path, char sum[ARCHIVE_SUM_SIZE], struct error *error);

#endif
