/* SPDX-License-Identifier: Apache-2.0 */
/* What the balancer's "json show members" says about a port. Pure. */
#ifndef PORTICO_COMMAND_MEMBER_REPORT_H
#define PORTICO_COMMAND_MEMBER_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct member_report {
    bool is_up;         /* every member at the port is used, and there is one */
    uint64_t in_flight; /* of all of them */
};

/* False: no member has that port, or it is no such report. */
bool member_report_read(struct str json, uint16_t port, struct member_report *report);

#endif
