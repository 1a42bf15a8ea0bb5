/* SPDX-License-Identifier: Apache-2.0 */
/* A command under way: what admin_command.c and the reports share. Its functions run on the control
 * thread, except what visits workers. */
#ifndef PORTICO_BALANCER_ADMIN_CALL_H
#define PORTICO_BALANCER_ADMIN_CALL_H

#include "admin_command.h"
#include "balancer.h"

struct history;

struct admin_call {
    uint32_t magic;
    struct question question;
    struct balancer *balancer;
    admin_done_function *done; /* NULL: cancelled */
    void *context;
    struct admin_answer answer;
    struct admin_line line; /* views into `text` */
    bool is_beginning;      /* admin_call() has not returned yet */
    bool is_asking;         /* the workers */

    const struct history *history; /* the status page's; borrowed */

    /* What a report gathers from the workers; freed with the call. */
    const struct report *report;
    struct range *range;
    size_t *pooled; /* by member, by worker and member */
    struct recent_request *request;
    struct recent_error *errors;
    size_t wanted, count, total;

    char text[ADMIN_LINE_MAX];
};

/* `visit` on each worker's thread in turn, then `write` on the control thread. */
struct report {
    void (*visit)(struct admin_call *call, struct worker *worker);
    void (*write)(struct admin_call *call);
};

void admin_call_ask(struct admin_call *call, const struct report *report);

/* The first argument, which may be left out, as a number of 1 to `most`. 0 or -EINVAL, answered. */
MUST_CHECK int admin_call_number(struct admin_call *call, size_t initial, size_t most,
                                 size_t *number);

/* What belongs to several answers. */
void admin_write_info(struct admin_call *call);
void admin_write_members(struct admin_call *call, const char *name);

#define ADMIN_COMMAND(words, least, most, synopsis, meaning, function) \
    void admin_##function(struct admin_call *call);
#include "admin_commands.def"
#undef ADMIN_COMMAND

#endif
