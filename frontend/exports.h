/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of an instance know of themselves, read when somebody scrapes: queues, caches, RSA
 * operations, and the process. */
#ifndef PORTICO_FRONTEND_EXPORTS_H
#define PORTICO_FRONTEND_EXPORTS_H

#include "base/compiler.h"
#include "frontend.h"

/* Add them to the frontend's metrics. The frontend is borrowed for as long as those live. 0, or
 * -ENOSPC, -ENOMEM, -ENOBUFS. */
MUST_CHECK int exports_define(struct frontend *frontend);

#endif
