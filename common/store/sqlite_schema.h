/* SPDX-License-Identifier: Apache-2.0 */
/* The tables, and how they came to be. */
#ifndef PORTICO_STORE_SQLITE_SCHEMA_H
#define PORTICO_STORE_SQLITE_SCHEMA_H

#include <sqlite3.h>
#include <stdint.h>

#include "base/compiler.h"

struct error;

/* Bring the database to the newest schema, in one transaction. The caller holds the lock for
 * writing. 0; -ENOTSUP: made by a newer version; -EUCLEAN: not one of ours, or damaged; or another
 * error of the store. */
MUST_CHECK int sqlite_schema_migrate(sqlite3 *db, struct error *error);

/* The schema that the database has, without changing it. As sqlite_schema_migrate(). */
MUST_CHECK int sqlite_schema_read(sqlite3 *db, int64_t *version, struct error *error);

#endif
