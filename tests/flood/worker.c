/* SPDX-License-Identifier: Apache-2.0 */
/* Who polls when: phases, groups, the three kinds of timing. The worker's thread; before that
 * begins, the one that makes it. */
#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/check.h"
#include "ledger.h"
#include "target.h"
#include "vault.h"
#include "worker_internal.h"

enum {
    POLLS_MAX = 65536, /* under way, of all threads */
    PREFIX_MAX = 2000,
    ANSWER_MAX = 64 << 20,
    CLOSING_AT_ONCE = 256, /* closing polls of a thread */
};
#define ERROR_PAUSE (60 * USEC_PER_SEC) /* of real agents */
/* For agents that are due while no poll is free: there may be a hundred thousand of them, and what
 * holds the polls up is the crew, which wants the processors. */
#define SHORTAGE_PAUSE (100 * USEC_PER_MSEC)
#define CLOSING_PAUSE USEC_PER_SEC /* after a closing poll that failed */

/* An agent does not know its worker, which would be 8 bytes a million times; its thread does. */
static _Thread_local struct worker *current_worker;

/* ---- Starting polls ---- */

struct group *worker_group(struct worker *worker, const struct agent *agent)
{
    return agent->group < worker->group_count ? &worker->groups[agent->group] : NULL;
}

static bool start_poll(struct worker *worker, struct agent *agent, usec_t planned)
{
    struct group *group = worker_group(worker, agent);
    agent->due = planned;
    /* First, as a poll that fails at once ends at once. */
    if (group != NULL) {
        group->busy++;
    }
    if (!poll_begin(worker, agent, planned)) {
        if (group != NULL) {
            group->busy--;
        }
        return false;
    }
    TALLY_ADD(worker->tally.totals.planned, !worker->is_ending);
    return true;
}

static void on_agent_due(struct timer *timer, usec_t now)
{
    struct agent *agent = CONTAINER_OF(timer, struct agent, timer);
    struct worker *worker = current_worker;
    if (worker->is_over) {
        return;
    }
    /* First, as a poll that fails at once arms it again. */
    worker->retrying -= worker->is_ending;
    if (!start_poll(worker, agent, agent->due)) {
        loop_arm(worker->loop, &agent->timer, now + SHORTAGE_PAUSE);
        worker->retrying += worker->is_ending;
    }
}

static struct agent *find_idle(struct worker *worker, struct group *group)
{
    size_t count = group->end - group->first;
    if (group->busy >= count) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        struct agent *agent = &worker->agents[group->first + group->cursor];
        group->cursor = group->cursor + 1 < count ? group->cursor + 1 : 0;
        if (!agent->is_polling && !timer_is_armed(&agent->timer)) {
            return agent;
        }
    }
    return NULL;
}

/* Start what is due. When no agent is free the schedule waits with the plan unchanged: latency goes
 * on counting. */
static void on_arrival(struct timer *timer, usec_t now)
{
    struct group *group = CONTAINER_OF(timer, struct group, timer);
    struct worker *worker = group->worker;
    usec_t at;
    while ((at = arrivals_peek(&group->arrivals)) != USEC_NEVER && group->begin + at <= now) {
        struct agent *agent = find_idle(worker, group);
        group->is_blocked = agent == NULL;
        group->is_ours = false;
        if (agent == NULL) {
            return;
        }
        if (!start_poll(worker, agent, group->begin + at)) {
            group->is_ours = true;
            loop_arm(worker->loop, timer, now + USEC_PER_MSEC);
            return;
        }
        arrivals_advance(&group->arrivals);
    }
    loop_arm(worker->loop, timer, at == USEC_NEVER ? USEC_NEVER : group->begin + at);
}

/* ---- Ends of polls ---- */

static usec_t pause_of(struct agent *agent, const struct scenario_group *is, bool succeeded)
{
    usec_t sleep = (usec_t)agent->sleep_ms * USEC_PER_MSEC;
    if (!succeeded) {
        return ERROR_PAUSE;
    }
    if (agent->is_fast) {
        sleep = is->poll.min;
        agent->is_fast = false;
    }
    double next = (double)(sleep > is->poll.min ? sleep : is->poll.min) * is->poll.slew;
    next = next < (double)is->poll.max ? next : (double)is->poll.max;
    agent->sleep_ms = (uint32_t)(next / (double)USEC_PER_MSEC);
    return sleep;
}

static usec_t period_of(const struct worker *worker, const struct group *group, usec_t at)
{
    usec_t elapsed = at > group->begin ? at - group->begin : 0;
    double period = curve_at(&group->curve, elapsed, group->duration, (double)worker->plan->period);
    return period < 1 ? 1 : (usec_t)period;
}

/* From when it was due, not from when it polled: a slow server shall not slow the plan. */
static usec_t next_period(const struct worker *worker, const struct group *group,
                          const struct agent *agent)
{
    usec_t due = agent->due > group->begin ? agent->due : group->begin;
    return due + period_of(worker, group, due);
}

static void arm_agent(struct worker *worker, struct agent *agent, usec_t due)
{
    agent->due = due;
    loop_arm(worker->loop, &agent->timer, due);
}

/* ---- The end ---- */

/* Agents that owe answers to requests, or whose messages no answer has acknowledged, poll once more
 * when the run is over: what they say goes with their next poll, and there would be none. Those
 * come one by one, which spares a million timers. */
static void settle(struct worker *worker)
{
    if (worker->is_settling) {
        return; /* one of those below failed at once */
    }
    worker->is_settling = true;
    while (!worker->is_over && worker->settled < worker->agent_count &&
           poll_list_count(&worker->busy) < CLOSING_AT_ONCE) {
        struct agent *agent = &worker->agents[worker->settled++];
        /* While it polls, the crew may have it in hand: nothing else of it is looked at then. */
        if (!agent->is_polling && agent->outbox != NULL && !timer_is_armed(&agent->timer) &&
            !start_poll(worker, agent, loop_now(worker->loop))) {
            worker->settled--;
            break; /* none is free before one is done */
        }
    }
    worker->is_settling = false;
    if (poll_list_is_empty(&worker->busy) &&
        (worker->is_over || (worker->retrying == 0 && worker->settled == worker->agent_count))) {
        loop_stop(worker->loop);
    }
}

static void freed_at_end(struct worker *worker, struct agent *agent, bool succeeded)
{
    if (agent->outbox != NULL && !worker->is_over) {
        worker->retrying++;
        arm_agent(worker, agent, agent->freed + (succeeded ? 0 : CLOSING_PAUSE));
    }
    settle(worker);
}

void worker_agent_freed(struct worker *worker, struct agent *agent, bool succeeded,
                        bool polls_again)
{
    struct group *group = worker_group(worker, agent);
    if (group != NULL) {
        group->busy--;
    }
    if (worker->is_ending) {
        freed_at_end(worker, agent, succeeded);
        return;
    }
    if (group == NULL) {
        return;
    }
    switch (group->timing) {
    case TIMING_DEFAULT: /* it was resolved */
    case TIMING_AGENT:
        arm_agent(worker, agent, agent->freed + pause_of(agent, group->is, succeeded));
        break;
    case TIMING_PERIOD:
        arm_agent(worker, agent, polls_again ? agent->freed : next_period(worker, group, agent));
        break;
    case TIMING_RATE:
        if (polls_again) {
            arm_agent(worker, agent, agent->freed);
        } else if (group->is_blocked) {
            loop_arm(worker->loop, &group->timer, loop_now(worker->loop));
        }
        break;
    }
}

/* ---- Phases ---- */

static uint64_t seed_of(const struct worker *worker, size_t group)
{
    return schedule_mix(worker->plan->seed,
                        ((uint64_t)worker->phase << 32) | ((uint64_t)worker->number << 16) | group);
}

static void begin_rate(struct worker *worker, struct group *group, size_t number)
{
    double part = 1.0 / worker->plan->threads;
    const struct curve *curve = &group->curve;
    group->arrivals = (struct arrivals){
        .seed = seed_of(worker, number),
        .from = part * curve_at(curve, 0, group->duration, worker->plan->rate),
        .to = part * curve_at(curve, group->duration, group->duration, worker->plan->rate),
        .duration = group->duration,
    };
    usec_t at = arrivals_peek(&group->arrivals);
    timer_init(&group->timer, on_arrival);
    loop_arm(worker->loop, &group->timer, at == USEC_NEVER ? USEC_NEVER : group->begin + at);
}

/* Agents that keep their own time. */
static void begin_timers(struct worker *worker, struct group *group, size_t number,
                         enum phase_start start)
{
    uint64_t seed = seed_of(worker, number);
    usec_t spread = group->timing == TIMING_AGENT ? group->is->poll.max
                                                  : period_of(worker, group, group->begin);
    spread = start == START_TOGETHER ? 0 : spread < group->duration ? spread : group->duration;
    for (size_t i = group->first; i < group->end; i++) {
        struct agent *agent = &worker->agents[i];
        agent->sleep_ms = (uint32_t)(group->is->poll.max / USEC_PER_MSEC);
        if (!agent->is_polling) {
            arm_agent(worker, agent,
                      group->begin + (usec_t)((double)spread * schedule_draw(seed, i)));
        }
    }
}

static void renew(struct worker *worker, struct agent *agent, size_t index)
{
    static const struct vault_record nothing;
    if (agent->is_polling) {
        return; /* it is somebody else until that poll ends; so it stays who it is */
    }
    free(agent->outbox);
    agent->outbox = NULL;
    agent->identity += (uint32_t)worker->plan->agents;
    agent->id = agent->former_nonce = 0;
    agent->first = 0;
    agent->asked_s = 0;
    agent->is_enrolled = agent->is_known = agent->wants_enrolment = false;
    agent->wants_page = true;
    if (vault_write(worker->vault, index, &nothing) < 0) {
        TALLY_ADD(worker->tally.faults[FAULT_GENERATOR], 1);
    }
}

static void place_agents(struct worker *worker, struct group *group, size_t number)
{
    for (size_t i = group->first; i < group->end; i++) {
        struct agent *agent = &worker->agents[i];
        agent->group = (uint8_t)number;
        group->busy += agent->is_polling;
        if (group->is->is_fresh) {
            renew(worker, agent, i);
        }
    }
}

static void clear_phase(struct worker *worker)
{
    for (size_t i = 0; i < worker->group_count; i++) {
        struct group *group = &worker->groups[i];
        if (group->timing == TIMING_RATE) {
            loop_disarm(worker->loop, &group->timer);
        }
    }
    for (size_t i = 0; i < worker->agent_count; i++) {
        loop_disarm(worker->loop, &worker->agents[i].timer);
        worker->agents[i].group = NO_GROUP;
    }
    worker->group_count = 0;
}

enum timing group_timing(const struct run_plan *plan, const struct scenario_group *group)
{
    if (group->timing != TIMING_DEFAULT) {
        return group->timing;
    }
    return plan->rate > 0 ? TIMING_RATE : plan->period > 0 ? TIMING_PERIOD : TIMING_AGENT;
}

struct curve group_curve(const struct run_plan *plan, const struct scenario_group *group)
{
    if (group->timing != TIMING_DEFAULT) {
        return group->curve;
    }
    /* The group's part of the rate; a period is each agent's own. */
    double part = plan->rate > 0 ? group->share : 1;
    return (struct curve){.from = part, .to = part, .is_relative = true};
}

static void begin_groups(struct worker *worker, const struct scenario_phase *phase, usec_t begin)
{
    double share = 0;
    worker->group_count = phase->is_outage ? 0 : phase->group_count;
    for (size_t i = 0; i < worker->group_count; i++) {
        struct group *group = &worker->groups[i];
        double count = (double)worker->agent_count;
        *group = (struct group){.is = &phase->groups[i],
                                .timing = group_timing(worker->plan, &phase->groups[i]),
                                .curve = group_curve(worker->plan, &phase->groups[i]),
                                .worker = worker,
                                .begin = begin,
                                .duration = phase->duration,
                                .first = (size_t)(share * count + 0.5)};
        share += phase->groups[i].share;
        group->end = (size_t)(share * count + 0.5);
        group->end = group->end < worker->agent_count ? group->end : worker->agent_count;
        place_agents(worker, group, i);
        if (group->timing == TIMING_RATE) {
            begin_rate(worker, group, i);
        } else {
            begin_timers(worker, group, i, phase->start);
        }
    }
}

static void begin_phase(struct worker *worker, size_t number, usec_t begin)
{
    const struct scenario *scenario = worker->plan->scenario;
    clear_phase(worker);
    worker->phase = number;
    if (number == scenario->phase_count) {
        return;
    }
    const struct scenario_phase *phase = &scenario->phases[number];
    if (phase->is_outage) {
        client_hang_up(worker->client);
    }
    begin_groups(worker, phase, begin);
    worker->start = begin;
    loop_arm(worker->loop, &worker->phase_timer, begin + phase->duration);
}

/* A poll that was due and never started, as no agent was free, or for want of a poll of ours. */
static void count_left(struct worker *worker, const struct group *group)
{
    TALLY_ADD(worker->tally.totals.planned, 1);
    if (group->is_ours) {
        TALLY_ADD(worker->tally.faults[FAULT_GENERATOR], 1);
    } else {
        TALLY_ADD(worker->tally.totals.not_started, 1);
        TALLY_ADD(worker->tally.faults[FAULT_NOT_STARTED], 1);
    }
}

static void count_rest(struct worker *worker, usec_t now)
{
    for (size_t i = 0; i < worker->group_count; i++) {
        struct group *group = &worker->groups[i];
        usec_t at;
        /* What is due right now may come behind the end in the same tick. */
        if (group->timing == TIMING_RATE) {
            on_arrival(&group->timer, now);
        }
        while (group->timing == TIMING_RATE &&
               (at = arrivals_peek(&group->arrivals)) != USEC_NEVER && group->begin + at <= now) {
            arrivals_advance(&group->arrivals);
            count_left(worker, group);
        }
    }
}

static void end(struct worker *worker, usec_t now)
{
    if (worker->is_ending) {
        return;
    }
    worker->is_ending = true;
    clear_phase(worker);
    loop_disarm(worker->loop, &worker->phase_timer);
    loop_arm(worker->loop, &worker->end_timer, now + worker->plan->grace);
    settle(worker);
}

static void on_phase_end(struct timer *timer, usec_t now)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, phase_timer);
    usec_t begin = worker->start + worker->plan->scenario->phases[worker->phase].duration;
    count_rest(worker, now);
    begin_phase(worker, worker->phase + 1, begin);
    if (worker->phase == worker->plan->scenario->phase_count) {
        end(worker, now);
    }
}

static void give_up(struct worker *worker)
{
    struct poll *poll = poll_list_first(&worker->busy);
    worker->is_over = true;
    while (poll != NULL) {
        struct poll *next = poll_list_next(&worker->busy, poll);
        if (poll->state == POLL_SENT || poll->state == POLL_PAGE) {
            poll_abandon(poll);
        }
        poll = next;
    }
    settle(worker);
}

static void on_grace_end(struct timer *timer, usec_t now)
{
    (void)now;
    give_up(CONTAINER_OF(timer, struct worker, end_timer));
}

static void on_hurry(struct task *task)
{
    give_up(CONTAINER_OF(task, struct worker, hurry));
}

static void on_stop(struct task *task)
{
    struct worker *worker = CONTAINER_OF(task, struct worker, stop);
    if (!worker->is_ending) {
        count_rest(worker, loop_now(worker->loop));
    }
    end(worker, loop_now(worker->loop));
}

void worker_stop(struct worker *worker)
{
    loop_post(worker->loop, &worker->stop);
}

void worker_hurry(struct worker *worker)
{
    loop_post(worker->loop, &worker->hurry);
}

/* ---- Workers ---- */

static void *run(void *argument)
{
    struct worker *worker = argument;
    char name[16];
    snprintf(name, sizeof name, "flood-%u", worker->number % 1000);
    prctl(PR_SET_NAME, name);
    crew_go_first();
    current_worker = worker;
    if (loop_run(worker->loop) < 0) {
        TALLY_ADD(worker->tally.faults[FAULT_GENERATOR], 1);
    }
    for (size_t i = 0; i < worker->agent_count; i++) {
        TALLY_ADD(worker->tally.totals.messages_owed, agent_owes(&worker->agents[i]));
    }
    return NULL;
}

static int write_heads(struct worker *worker)
{
    const struct target *target = worker->plan->target;
    struct str base = str_from(target->path);
    /* One slash of the base is the protocol's. */
    if (str_ends_with(base, STR("/"))) {
        base.len--;
    }
    int len = asprintf(&worker->prefix,
                       "POST %.*s/control?api=3 HTTP/1.1\r\nHost: %s\r\n"
                       "User-Agent: portico-flood/" PORTICO_VERSION "\r\n"
                       "Accept-Encoding: gzip, deflate\r\nAccept: */*\r\n"
                       "Connection: keep-alive\r\nContent-Type: binary/octet-stream\r\n"
                       "Cache-Control: no-cache\r\nContent-Length: ",
                       STR_ARG(base), target->authority);
    if (len < 0 || len > PREFIX_MAX) {
        return -ENOMEM;
    }
    worker->prefix_len = (size_t)len;
    return asprintf(&worker->page,
                    "GET %.*s/server.pem HTTP/1.1\r\nHost: %s\r\n"
                    "User-Agent: portico-flood/" PORTICO_VERSION "\r\n"
                    "Accept-Encoding: gzip, deflate\r\nAccept: */*\r\n"
                    "Connection: keep-alive\r\nCache-Control: no-cache\r\n\r\n",
                    STR_ARG(base), target->authority) < 0
               ? -ENOMEM
               : 0;
}

static void make_agents(struct worker *worker)
{
    for (size_t i = 0; i < worker->agent_count; i++) {
        struct agent *agent = &worker->agents[i];
        timer_init(&agent->timer, on_agent_due);
        /* Neighbours go to different threads, so that each has a part of every group. */
        agent->identity = (uint32_t)(i * worker->plan->threads + worker->number);
        agent->group = NO_GROUP;
        agent->wants_page = true;
        agent->sequence = worker->plan->first_sequence;
    }
}

static int make_parts(struct worker *worker, struct error *error)
{
    const struct run_plan *plan = worker->plan;
    size_t connections = plan->connections_max / plan->threads;
    worker->agent_count =
        plan->agents / plan->threads + (worker->number < plan->agents % plan->threads);
    worker->polls_max = POLLS_MAX / plan->threads;
    worker->loop = loop_new(&clock_system, error);
    if (worker->loop == NULL) {
        return -ENOMEM;
    }
    if (loop_be_punctual(worker->loop, LOOP_TICK) < 0) {
        return error_set(error, -ENOMEM, "no memory");
    }
    const struct client_options options = {
        .loop = worker->loop,
        .target = plan->target,
        .tls = plan->tls,
        .connections_max = connections > 0 ? connections : 1,
        .answer_max = ANSWER_MAX,
        .number = worker->number,
        .resumes = plan->resumes,
    };
    worker->client = client_new(&options);
    worker->ledger = ledger_writer_new(plan->ledger);
    worker->agents = calloc(worker->agent_count + 1, sizeof *worker->agents);
    int code = worker->client == NULL || worker->ledger == NULL || worker->agents == NULL
                   ? -ENOMEM
                   : write_heads(worker);
    return code < 0 ? error_set_errno(error, code, "cannot make the agents")
                    : vault_new(worker->agent_count, &worker->vault, error);
}

int worker_new(const struct run_plan *plan, unsigned number, struct worker **worker,
               struct error *error)
{
    struct worker *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return error_set(error, -ENOMEM, "no memory");
    }
    made->plan = plan;
    made->number = number;
    made->serial = plan->fleet->server_serial;
    poll_list_init(&made->free);
    poll_list_init(&made->busy);
    timer_init(&made->phase_timer, on_phase_end);
    timer_init(&made->end_timer, on_grace_end);
    task_init(&made->stop, on_stop);
    task_init(&made->hurry, on_hurry);
    if (workbench_init(&made->bench) < 0) {
        free(made);
        return error_set(error, -ENOMEM, "no memory for a thread's tools");
    }
    int code = make_parts(made, error);
    if (code < 0) {
        worker_free(made);
        return code;
    }
    make_agents(made);
    *worker = made;
    return 0;
}

void worker_free(struct worker *worker)
{
    if (worker == NULL) {
        return;
    }
    struct poll *poll;
    while ((poll = poll_list_pop_front(&worker->free)) != NULL) {
        poll_free(poll);
    }
    for (size_t i = 0; worker->agents != NULL && i < worker->agent_count; i++) {
        free(worker->agents[i].outbox);
    }
    client_free(worker->client);
    loop_free(worker->loop);
    ledger_writer_free(worker->ledger);
    vault_free(worker->vault);
    workbench_done(&worker->bench);
    free(worker->agents);
    free(worker->prefix);
    free(worker->page);
    free(worker);
}

int worker_start(struct worker *worker, usec_t start, struct error *error)
{
    begin_phase(worker, 0, start);
    int code = pthread_create(&worker->thread, NULL, run, worker);
    return code == 0 ? 0 : error_set_errno(error, -code, "cannot start a thread");
}

/* By the wall clock, which may jump: only that join is known to older ThreadSanitizers. */
bool worker_join(struct worker *worker, usec_t patience)
{
    usec_t deadline = usec_add(clock_wall(&clock_system), patience);
    const struct timespec until = {.tv_sec = (time_t)(deadline / USEC_PER_SEC),
                                   .tv_nsec = (long)(deadline % USEC_PER_SEC * 1000)};
    return pthread_timedjoin_np(worker->thread, NULL, &until) == 0;
}

const struct tally *worker_tally(const struct worker *worker)
{
    return &worker->tally;
}

size_t plan_identities(const struct scenario *scenario, size_t agents)
{
    size_t fresh = 0;
    for (size_t i = 0; i < scenario->phase_count; i++) {
        bool has_fresh = false;
        for (size_t k = 0; k < scenario->phases[i].group_count; k++) {
            has_fresh |= scenario->phases[i].groups[k].is_fresh;
        }
        fresh += has_fresh;
    }
    return agents * (1 + fresh);
}
