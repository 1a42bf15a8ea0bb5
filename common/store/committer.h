/* SPDX-License-Identifier: Apache-2.0 */
/* Group commit: one thread that writes what many connections have to store in as few transactions
 * as possible. While one transaction waits for the disk, the next batch gathers. One for each
 * process; its functions may be called from any thread and never block on the disk. */
#ifndef PORTICO_STORE_COMMITTER_H
#define PORTICO_STORE_COMMITTER_H

#include "base/list.h"
#include "base/metrics.h"
#include "store/store.h"

struct committer;

/* What may change while it runs. */
struct committer_limits {
    size_t queue_max;  /* jobs that may wait; 0: 4096 */
    size_t batch_max;  /* jobs of one transaction, at most STORE_BATCH_MAX; 0: 256 */
    usec_t seen_delay; /* how long a sighting may wait; 0: 2 s */
    /* How long a transaction waits for more jobs, when the one before had several. Jobs gather
     * while a transaction is under way anyway, and an idle committer never waits. */
    usec_t delay;
};

/* One transaction that has ended. */
struct committer_note {
    size_t jobs; /* 0: it was for sightings alone */
    usec_t took;
    int result;
};

struct committer_settings {
    struct store *store; /* borrowed; outlives the committer */
    struct committer_limits limits;
    size_t seen_max; /* agents whose sighting may wait; 0: 65536 */
    /* Told of each transaction, on the committer's thread. NULL: nobody. */
    void (*noted)(void *context, const struct committer_note *note);
    void *context;
};

/* One poll's business. Embedded in what the submitter keeps for the poll; zero it, fill `commit`
 * and `done`. It and what `commit` points to belong to the committer from submit to `done`. */
struct committer_job {
    struct store_commit commit;
    /* Called once, on the committer's thread, after the transaction: 0, then what was sent is on
     * the disk, or the error. It must not block. The job may be freed in it. */
    void (*done)(struct committer_job *job, int result);
    struct list_link link;
};

/* Start the thread. 0, -EINVAL, -ENOMEM or -EAGAIN (no thread). */
MUST_CHECK int committer_new(const struct committer_settings *settings,
                             struct committer **committer, struct error *error);

/* From the next transaction on. 0 or -EINVAL, then nothing changed. Any thread. */
MUST_CHECK int committer_set_limits(struct committer *committer,
                                    const struct committer_limits *limits);

/* 0: `done` will be called. -EAGAIN: the queue is full, answer 503; -ESHUTDOWN: it is stopping. */
MUST_CHECK int committer_submit(struct committer *committer, struct committer_job *job);

/* Remember that an agent was here and brought nothing. Written within `seen_delay` together with
 * others, only the latest of an agent; a crash loses what was not written. Failures to write are
 * tried again. 0, -EAGAIN: too many wait (the sighting is lost); -ESHUTDOWN; -EINVAL: the address
 * is longer than 63 bytes. */
MUST_CHECK int committer_see(struct committer *committer, struct store_agent_id agent,
                             const struct store_sighting *sighting);

/* Take nothing new, write everything that waits, end the thread. Waits at most `patience`.
 * 0, or -ETIMEDOUT: it is still at it (a disk that hangs); it may be called again. */
MUST_CHECK int committer_stop(struct committer *committer, usec_t patience);

/* After committer_stop() returned 0; stops it, however long that takes, otherwise. */
void committer_free(struct committer *committer);

struct committer_statistics {
    uint64_t commits;                        /* transactions that succeeded */
    uint64_t failures;                       /* transactions that did not */
    uint64_t jobs;                           /* of the former */
    uint64_t refused;                        /* jobs that found the queue full */
    uint64_t sightings;                      /* written by themselves */
    size_t queue_length;                     /* now */
    size_t longest_batch;                    /* jobs */
    usec_t busy_since;                       /* of a transaction under way; 0: none; monotonic */
    usec_t worst;                            /* longest transaction, failed ones included */
    usec_t total;                            /* of all of them */
    uint64_t histogram[METRIC_BUCKET_COUNT]; /* of transactions, by METRIC_BUCKETS */
};

void committer_read_statistics(struct committer *committer, struct committer_statistics *out);

#endif
