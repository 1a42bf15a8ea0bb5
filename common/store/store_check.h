/* SPDX-License-Identifier: Apache-2.0 */
/* Which arguments the store takes; for store.c, which asks before an engine sees them. Each: 0, or
 * -EINVAL with words. */
#ifndef PORTICO_STORE_STORE_CHECK_H
#define PORTICO_STORE_STORE_CHECK_H

#include "store/store.h"

MUST_CHECK int store_check_name(const char *what, struct str name, bool may_be_empty,
                                struct error *error);
MUST_CHECK int store_check_number(const char *what, uint64_t number, struct error *error);
MUST_CHECK int store_check_bytes(const char *what, struct str bytes, size_t max,
                                 struct error *error);
MUST_CHECK int store_check_limit(size_t limit, struct error *error);
MUST_CHECK int store_check_time(const char *what, usec_t time, struct error *error);
MUST_CHECK int store_check_lease(const struct store_lease *lease, const struct arena *arena,
                                 struct error *error);
MUST_CHECK int store_check_commit(const struct store_commit *commit, struct error *error);
MUST_CHECK int store_check_enrolment(const struct store_enrolment *enrolment, struct error *error);
MUST_CHECK int store_check_request(const struct store_request *request, struct error *error);

#endif
