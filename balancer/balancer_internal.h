/* SPDX-License-Identifier: Apache-2.0 */
/* What the control thread is made of, for its files: balancer.c (life), balancer_members.c,
 * balancer_questions.c, balancer_reload.c. Its functions are the control thread's. */
#ifndef PORTICO_BALANCER_BALANCER_INTERNAL_H
#define PORTICO_BALANCER_BALANCER_INTERNAL_H

#include "balancer.h"
#include "hosts.h"
#include "prober.h"
#include "worker_internal.h"

struct admin_http;
struct admin_socket;
struct resolver;

LIST_DECLARE(question_list, struct question, link);

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): what is shared has lines of its own */
struct balancer {
    struct loop *loop;
    const struct command_line *line; /* borrowed */
    struct shared shared;
    struct worker_update now; /* rules, members and certificates in force: references */
    struct tls_tickets *tickets;
    struct counter_shard *counters; /* the control thread's */

    struct worker **workers;
    bool *is_ended; /* by worker */
    unsigned worker_count, ended_count;
    struct address plain, tls; /* where we listen; len 0: not */

    struct resolver *resolver;
    struct prober *prober;
    struct admin_socket *admin_socket;
    struct admin_http *admin_http;
    struct question_list questions;

    struct watch signals;
    struct task changed_task, ended_task;
    struct timer drain;
    struct timer housekeeping;
    usec_t watchdog; /* how often systemd wants a sign of life; 0: never */
    usec_t started;
    struct balancer_reloaded reloaded;
    bool was_alive;
    bool is_stopping;
};

/* ---- balancer_reload.c ---- */

/* What a reload makes before anything changes. */
struct prepared {
    struct config *config;
    struct rules *rules;
    struct tls_context *tls;
    struct prober_rules probes;
    struct host_list hosts;
};

void prepared_done(struct prepared *prepared);

/* Make all that `config` asks for; nothing changes. 0 or a negative errno with words. */
MUST_CHECK int balancer_prepare(struct balancer *balancer, struct config *config,
                                struct prepared *prepared, struct error *error);
MUST_CHECK int balancer_open_log(struct balancer *balancer, const struct config *config,
                                 struct error *error);

/* Tell all workers what is in force. */
void balancer_post_updates(struct balancer *balancer);

/* ---- balancer_members.c ---- */

/* The members at these places, those that there were before with all that is known of them. NULL:
 * no memory. */
struct range *balancer_new_range(struct balancer *balancer, const struct range_place *places,
                                 size_t count);

/* For the resolver: other places; for the prober: a member's health; for the task that workers
 * post. */
struct places;
void balancer_places_changed(void *context, const struct places *places);
void balancer_member_changed(void *context, struct member *member);
void balancer_look_at_members(struct task *task);

/* ---- balancer_questions.c ---- */

/* Questions that lie with a worker that has ended were never heard; they go on to the next one. */
void balancer_free_questions(struct balancer *balancer, unsigned worker);

#endif
