/* SPDX-License-Identifier: Apache-2.0 */
/* Why something is refused, as tables of constants: each module that refuses has a .def of its own,
 * an enum made from it whose 0 is no reason, and a table indexed by it. Any thread. */
#ifndef PORTICO_BASE_REASON_TABLE_H
#define PORTICO_BASE_REASON_TABLE_H

#include <stddef.h>

#include "base/check.h"

struct reason_row {
    const char *code;     /* stable: for headers, logs, metrics */
    unsigned status;      /* of the HTTP answer */
    const char *sentence; /* for people */
};

/* The row of no reason, and one of a .def. */
#define REASON_ROW_NONE                    \
    {                                      \
        "none", 200, "nothing was refused" \
    }
#define REASON_ROW(code, status, sentence) \
    {                                      \
        code, status, sentence             \
    }

static inline const struct reason_row *reason_row(const struct reason_row *rows, size_t count,
                                                  unsigned reason)
{
    CHECK(reason < count);
    return &rows[reason];
}

#endif
