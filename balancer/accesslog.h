/* SPDX-License-Identifier: Apache-2.0 */
/* The access log: a line for each request, gathered by each worker and written by a thread of its
 * own, so that no disk ever holds up a relay. When the writer lags behind, lines are dropped and
 * counted. */
#ifndef PORTICO_BALANCER_ACCESSLOG_H
#define PORTICO_BALANCER_ACCESSLOG_H

#include "base/buffer.h"
#include "base/compiler.h"
#include "base/error.h"
#include "counters.h"
#include "record.h"

struct accesslog;       /* the file and its writer thread */
struct accesslog_shard; /* one worker's lines */
struct loop;

enum accesslog_format {
    ACCESSLOG_JSON,
    ACCESSLOG_HUMAN,
    ACCESSLOG_COMBINED, /* as Apache's and nginx' "combined" */
};

/* The line of one request, its LF included; whatever bytes the peer sent, the line is one line of
 * valid UTF-8 (JSON: one object). Long texts are cut: targets at 4 KiB, others at 1 KiB. 0,
 * -ENOMEM, or -ENOBUFS: no room for the longest line that this could have become (ACCESS_LINE_MAX
 * always suffices); all or nothing is appended. Pure. */
enum { ACCESS_LINE_MAX = 64 * 1024 };
MUST_CHECK int access_line_write(enum accesslog_format format, const struct record *record,
                                 struct buffer *out);

/* Starts the writer thread without a file. NULL with words. */
struct accesslog *accesslog_new(struct error *error);
/* Writes what waits, for at most two seconds, and ends the thread. All shards were freed. */
void accesslog_free(struct accesslog *accesslog);

/* From now on write to `path` ("-": standard output; "": nowhere) in `format`; a file is created
 * 0640 and appended to. 0 or a negative errno with words, and then nothing changes. Control
 * thread. */
MUST_CHECK int accesslog_open(struct accesslog *accesslog, const char *path,
                              enum accesslog_format format, struct error *error);
/* Open the same path again, after it was moved (SIGUSR1). 0 or as above. */
MUST_CHECK int accesslog_reopen(struct accesslog *accesslog, struct error *error);

/* A worker's own; `loop` is the worker's. NULL: no memory. */
struct accesslog_shard *accesslog_shard_new(struct accesslog *accesslog, struct loop *loop,
                                            struct counter_shard *counters);
/* Hands over what it gathered. Before the worker's loop is freed, on its thread. */
void accesslog_shard_free(struct accesslog_shard *shard);
/* The worker's thread; never blocks. Nothing when the log is off. */
void accesslog_write(struct accesslog_shard *shard, const struct record *record);

#endif
