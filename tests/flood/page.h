/* SPDX-License-Identifier: Apache-2.0 */
/* What agents check of /server.pem: signed by the authority of their configuration, valid today, a
 * serial number that does not go back. Any thread, each with its own serial number. */
#ifndef PORTICO_FLOOD_PAGE_H
#define PORTICO_FLOOD_PAGE_H

#include "agent.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "fault.h"

/* The first one of a run: fills in the fleet's server, to be released with page_forget(). Without
 * an authority of the fleet's, it is believed as it is. 0 or a negative errno with words. */
MUST_CHECK int page_meet(struct fleet *fleet, struct str pem, usec_t now, struct error *error);
void page_forget(struct fleet *fleet);

/* Each later one. *serial is the highest that was seen, fleet->server_serial at first. A renewed
 * certificate of the same key and name is taken; another server is FAULT_CERTIFICATE, for the
 * agents of a run have one server. */
MUST_CHECK enum fault page_check(const struct fleet *fleet, struct str pem, usec_t now,
                                 uint64_t *serial);

#endif
