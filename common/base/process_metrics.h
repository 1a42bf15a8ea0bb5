/* SPDX-License-Identifier: Apache-2.0 */
/* What Prometheus wants to know of every process, under the names that it uses: CPU time, memory,
 * file descriptors, start; and which build it is. */
#ifndef PORTICO_BASE_PROCESS_METRICS_H
#define PORTICO_BASE_PROCESS_METRICS_H

#include "base/compiler.h"
#include "base/metrics.h"

/* Define them. Read from /proc when somebody asks; what cannot be read is NaN. 0 or -ENOSPC,
 * -ENOMEM, -ENOBUFS. */
MUST_CHECK int process_metrics_define(struct metrics *metrics, const char *version);

#endif
