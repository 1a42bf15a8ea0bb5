/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded engine: one SQLite file in a directory, used by several processes at once. Commits
 * are on the disk when they return (WAL, synchronous=FULL); readers never wait for writers; writers
 * go in the order in which they came, over all processes. */
#ifndef PORTICO_STORE_STORE_SQLITE_H
#define PORTICO_STORE_STORE_SQLITE_H

#include "store/store.h"

/* Open the store in `directory`; both are created when missing (0700, 0600), but not the
 * directory's parents. `clock` is borrowed. A process opens its own store: it does not survive
 * fork().
 *
 * 0, or an error as store.h lists them. Once opened, a store whose files disappear or fail reports
 * that on each call, and opens them again by itself when they are back; it never creates them
 * anew. */
MUST_CHECK int store_sqlite_open(const char *directory, const struct clock *clock,
                                 struct store **store, struct error *error);

/* The same, but nothing is created: -ENOENT when there is no store yet. */
MUST_CHECK int store_sqlite_open_existing(const char *directory, const struct clock *clock,
                                          struct store **store, struct error *error);

struct store_sqlite_settings {
    const char *directory;
    const struct clock *clock;
    bool must_exist;     /* as store_sqlite_open_existing() */
    usec_t busy_timeout; /* for opening, too; 0: STORE_BUSY_TIMEOUT */
};

/* Either of the above. */
MUST_CHECK int store_sqlite_open_with(const struct store_sqlite_settings *settings,
                                      struct store **store, struct error *error);

#endif
