/* SPDX-License-Identifier: Apache-2.0 */
/* A look into the file of a store, or into a copy of it, by somebody who only wants to know how it
 * is: nothing is made, changed or locked against writers. Blocks; any thread. */
#ifndef PORTICO_STORE_STORE_INSPECT_H
#define PORTICO_STORE_STORE_INSPECT_H

#include "store/store.h"

enum store_examination {
    STORE_EXAMINE_QUICKLY,    /* pages and rows are readable */
    STORE_EXAMINE_THOROUGHLY, /* indexes agree with their tables, too */
};

struct store_inspect_settings {
    const char *file; /* portico.db, or a copy */
    bool is_copy;     /* nobody else has it open, so that nothing is needed beside it */
    enum store_examination examination;
    usec_t patience;   /* for the examination; the counts come before it */
    usec_t seen_since; /* agents that were seen since then tell about clocks */
};

struct store_inspection {
    int64_t schema;
    struct store_statistics counts; /* `bytes`: those of the file */
    bool is_examined;               /* it came to its end in time, and found nothing */
    uint64_t compared;              /* agents seen since `seen_since` that tell the time */
    usec_t ahead;                   /* their median: how far their clocks are ahead of ours */
};

/* 0, or an error as store.h lists them: -ENOENT: there is no such file; -EUCLEAN: it is damaged, or
 * no store. */
MUST_CHECK int store_inspect(const struct store_inspect_settings *settings,
                             struct store_inspection *inspection, struct error *error);

/* Whether some other process has the store in this file open: 1 or 0; or a negative errno, when
 * that cannot be looked at. Not for a process that has it open itself: it would lose its locks. */
MUST_CHECK int store_is_in_use(const char *file);

#endif
