/* SPDX-License-Identifier: Apache-2.0 */
/* One poll, from when it is due to when it is counted. The worker's thread, but for what the crew
 * does while the poll is POLL_WRITE or POLL_READ. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "page.h"
#include "scenario.h"
#include "target.h"
#include "vault.h"
#include "worker_internal.h"

enum {
    HEAD_BYTES = 2048,
    KEYS_KEPT = 1024, /* by polls of one thread that wait for an answer; some 10 KiB each */
};

static void write_letter(struct poll *poll);
static void send_letter(struct poll *poll);
static void on_answer(struct exchange *exchange, enum fault fault);

static usec_t real_now(void)
{
    return clock_monotonic(&clock_system);
}

static void count_traffic(struct worker *worker)
{
    const struct client_counters *counters = client_counters(worker->client);
    TALLY_SET(worker->tally.in_flight, poll_list_count(&worker->busy));
    TALLY_SET(worker->tally.totals.connections, counters->connections);
    TALLY_SET(worker->tally.totals.tls_resumed, counters->resumed);
    TALLY_SET(worker->tally.totals.bytes_sent, counters->bytes_sent);
    TALLY_SET(worker->tally.totals.bytes_received, counters->bytes_received);
}

/* ---- Polls ---- */

static void run_job(struct job *job, struct workbench *bench);
static void job_done(struct task *task);

static struct poll *make_poll(struct worker *worker)
{
    struct poll *poll = calloc(1, sizeof *poll);
    char *head = malloc(HEAD_BYTES);
    if (poll == NULL || head == NULL) {
        free(poll);
        free(head);
        return NULL;
    }
    memcpy(head, worker->prefix, worker->prefix_len);
    poll->head = head;
    poll->worker = worker;
    poll->job.run = run_job;
    poll->job.loop = worker->loop;
    task_init(&poll->job.done, job_done);
    letter_init(&poll->letter, worker->plan->fleet);
    worker->polls++;
    return poll;
}

void poll_free(struct poll *poll)
{
    letter_done(&poll->letter);
    free(poll->head);
    free(poll);
}

static struct poll *take_poll(struct worker *worker)
{
    struct poll *poll = poll_list_pop_front(&worker->free);
    if (poll == NULL && worker->polls < worker->polls_max) {
        poll = make_poll(worker);
    }
    return poll;
}

/* What the agent does for itself does not count as latency: of this poll while it is not sent, of
 * the next one when that comes due before the answer is read. */
static void leave_state(struct poll *poll, usec_t now)
{
    usec_t spent = now - poll->since;
    bool is_before = poll->state == POLL_PAGE || poll->state == POLL_WRITE;
    if (is_before) {
        poll->origin += spent;
    }
    if (is_before || poll->state == POLL_READ) {
        poll->own += spent;
    }
}

/* When a poll would have begun had the agent computed nothing for itself in the one before. */
static usec_t origin_of(const struct agent *agent, usec_t planned)
{
    usec_t waited = agent->freed > planned ? agent->freed - planned : 0;
    return planned + (waited < agent->own_us ? waited : agent->own_us);
}

static void enter(struct poll *poll, enum poll_state state)
{
    usec_t now = real_now();
    leave_state(poll, now);
    poll->state = state;
    poll->since = now;
}

/* ---- Ends ---- */

static void release(struct poll *poll, bool succeeded, bool polls_again)
{
    struct worker *worker = poll->worker;
    struct agent *agent = poll->letter.agent;
    if (poll->letter.record_changed) {
        if (vault_write(worker->vault, (size_t)(agent - worker->agents), &poll->letter.record) <
            0) {
            TALLY_ADD(worker->tally.faults[FAULT_GENERATOR], 1);
        }
    }
    agent->freed = real_now();
    leave_state(poll, agent->freed);
    agent->own_us = poll->own < UINT32_MAX ? (uint32_t)poll->own : UINT32_MAX;
    poll->state = POLL_FREE;
    letter_forget_key(&poll->letter);
    poll->letter.agent = NULL;
    poll_list_remove(&worker->busy, poll);
    poll_list_push_front(&worker->free, poll);
    count_traffic(worker);
    agent->is_polling = false;
    worker_agent_freed(worker, agent, succeeded, polls_again);
}

/* Real agents fetch /server.pem again after whatever went wrong, and make a new cipher for it. */
static void forget_cipher(struct poll *poll)
{
    poll->letter.record.cipher_len = 0;
    poll->letter.record_changed = true;
    poll->letter.agent->wants_page = true;
}

static void return_letter(struct poll *poll)
{
    if (poll->state != POLL_PAGE) {
        letter_return(&poll->letter, poll->state != POLL_WRITE, false);
    }
}

static void fail(struct poll *poll, enum fault fault)
{
    TALLY_ADD(poll->worker->tally.faults[fault], 1);
    return_letter(poll);
    if (fault >= FAULT_BAD_HTTP) {
        forget_cipher(poll);
    }
    release(poll, false, false);
}

/* 406. The first time it is an invitation; after a signing request it is a failure, and the agent
 * does not ask again for ten minutes. */
static void refused(struct poll *poll)
{
    struct worker *worker = poll->worker;
    struct agent *agent = poll->letter.agent;
    uint32_t now = (uint32_t)(loop_now(worker->loop) / USEC_PER_SEC) + 1;
    TALLY_ADD(worker->tally.totals.refused_406, 1);
    letter_return(&poll->letter, true, true);
    forget_cipher(poll);
    agent->is_enrolled = false;
    if (agent->asked_s != 0 && now - agent->asked_s < AGENT_ASKS_EVERY_S) {
        TALLY_ADD(worker->tally.faults[FAULT_NOT_ENROLLED], 1);
        agent->wants_enrolment = false;
        release(poll, false, false);
        return;
    }
    agent->asked_s = now;
    agent->wants_enrolment = true;
    agent->is_fast = true;
    TALLY_ADD(worker->tally.totals.enrolments_started, 1);
    release(poll, true, true);
}

static void succeed(struct poll *poll)
{
    struct worker *worker = poll->worker;
    struct agent *agent = poll->letter.agent;
    struct tally *tally = &worker->tally;
    struct letter_counts counts = letter_acknowledge(&poll->letter, worker->ledger);
    TALLY_ADD(tally->totals.messages_acknowledged, counts.messages);
    TALLY_ADD(tally->totals.requests_delivered, counts.delivered);
    TALLY_ADD(tally->totals.requests_answered, counts.answered);
    if (!poll->is_closing) {
        TALLY_ADD(tally->totals.ok, 1);
        histogram_record(&tally->latency, poll->exchange.answered - poll->origin);
        histogram_record(&tally->service, poll->exchange.answered - poll->sent);
    }
    if (!agent->is_enrolled) {
        agent->is_enrolled = true;
        TALLY_ADD(tally->totals.enrolled, !agent->is_known);
        agent->is_known = true;
        if (agent->asked_s != 0) {
            histogram_record(&tally->enrolment, poll->exchange.answered - agent->first);
        }
    }
    agent->wants_enrolment = false;
    release(poll, true, false);
}

void poll_abandon(struct poll *poll)
{
    exchange_cancel(poll->worker->client, &poll->exchange);
    if (poll->is_closing) {
        /* Nobody had planned it; what stays owed is counted. */
        return_letter(poll);
        release(poll, false, false);
        return;
    }
    TALLY_ADD(poll->worker->tally.totals.unfinished, 1);
    fail(poll, FAULT_UNFINISHED);
}

/* ---- The crew's part ---- */

static void run_job(struct job *job, struct workbench *bench)
{
    struct poll *poll = CONTAINER_OF(job, struct poll, job);
    poll->is_skipped = atomic_load(&poll->worker->is_over);
    if (poll->is_skipped) {
        return; /* thousands may wait for us, and nobody waits for them any more */
    }
    if (bench == NULL) {
        poll->code = -1;
        poll->fault = FAULT_GENERATOR;
    } else if (poll->state == POLL_WRITE) {
        poll->code = letter_write(&poll->letter, bench);
    } else {
        poll->fault = letter_read(&poll->letter, bench, buffer_view(&poll->letter.answer));
    }
}

static void read_letter(struct poll *poll, enum fault fault)
{
    if (fault == FAULT_NONE) {
        succeed(poll);
    } else {
        fail(poll, fault);
    }
}

static void job_done(struct task *task)
{
    struct poll *poll = CONTAINER_OF(task, struct poll, job.done);
    if (poll->is_skipped) {
        poll_abandon(poll);
    } else if (poll->state == POLL_READ) {
        read_letter(poll, poll->fault);
    } else if (poll->code < 0) {
        fail(poll, FAULT_GENERATOR);
    } else {
        send_letter(poll);
    }
}

/* ---- Steps ---- */

static bool is_alone(const struct poll *poll)
{
    const struct group *group = worker_group(poll->worker, poll->letter.agent);
    enum connections kind = group == NULL ? CONNECTIONS_DEFAULT : group->is->connections;
    return kind == CONNECTIONS_NEW || (kind == CONNECTIONS_DEFAULT && poll->worker->plan->closes);
}

static void start_exchange(struct poll *poll)
{
    const struct group *group = worker_group(poll->worker, poll->letter.agent);
    poll->exchange.timeout = poll->worker->plan->timeout;
    poll->exchange.bytes_per_second = group == NULL ? 0 : group->is->bytes_per_second;
    poll->exchange.is_alone = is_alone(poll);
    exchange_start(poll->worker->client, &poll->exchange);
}

static void on_page(struct exchange *exchange, enum fault fault)
{
    struct poll *poll = CONTAINER_OF(exchange, struct poll, exchange);
    if (fault == FAULT_NONE && exchange->status != 200) {
        fault = fault_of_status(exchange->status);
    }
    if (fault == FAULT_NONE) {
        fault = page_check(poll->worker->plan->fleet, exchange->answer, clock_wall(&clock_system),
                           &poll->worker->serial);
    }
    if (fault != FAULT_NONE) {
        fail(poll, fault);
        return;
    }
    poll->letter.agent->wants_page = false;
    write_letter(poll);
}

static void fetch_page(struct poll *poll)
{
    enter(poll, POLL_PAGE);
    poll->exchange.head = str_from(poll->worker->page);
    poll->exchange.body = str_make(NULL, 0);
    poll->exchange.method = HTTP1_GET;
    poll->exchange.done = on_page;
    start_exchange(poll);
}

static void write_letter(struct poll *poll)
{
    enter(poll, POLL_WRITE);
    if (letter_is_heavy(&poll->letter)) {
        crew_do(poll->worker->plan->crew, &poll->job);
    } else if (letter_write(&poll->letter, &poll->worker->bench) < 0) {
        fail(poll, FAULT_GENERATOR);
    } else {
        send_letter(poll);
    }
}

static size_t write_number(char *out, size_t number)
{
    char digits[24];
    size_t len = 0;
    do {
        digits[len++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (size_t i = 0; i < len; i++) {
        out[i] = digits[len - 1 - i];
    }
    return len;
}

static void send_letter(struct poll *poll)
{
    struct worker *worker = poll->worker;
    if (worker->is_over) {
        poll_abandon(poll);
        return;
    }
    enter(poll, POLL_SENT);
    if (poll_list_count(&worker->busy) > KEYS_KEPT) {
        letter_forget_key(&poll->letter);
    }
    size_t len = worker->prefix_len;
    len += write_number(poll->head + len, buffer_size(&poll->letter.packet));
    memcpy(poll->head + len, "\r\n\r\n", 4);
    poll->exchange.head = str_make(poll->head, len + 4);
    poll->exchange.body = buffer_view(&poll->letter.packet);
    poll->exchange.method = HTTP1_POST;
    poll->exchange.done = on_answer;
    poll->sent = poll->since;
    TALLY_ADD(worker->tally.totals.messages_sent, poll->letter.unsent);
    start_exchange(poll);
}

static void on_answer(struct exchange *exchange, enum fault fault)
{
    struct poll *poll = CONTAINER_OF(exchange, struct poll, exchange);
    enum fault opened = FAULT_NONE;
    if (fault != FAULT_NONE) {
        fail(poll, fault);
    } else if (exchange->status == 406) {
        refused(poll);
    } else if (exchange->status != 200) {
        fail(poll, fault_of_status(exchange->status));
    } else if (letter_read_at_once(&poll->letter, &poll->worker->bench, exchange->answer,
                                   &opened)) {
        enter(poll, POLL_READ);
        read_letter(poll, opened);
    } else if (buffer_append(&poll->letter.answer, exchange->answer) < 0) {
        fail(poll, FAULT_GENERATOR);
    } else {
        enter(poll, POLL_READ);
        crew_do(poll->worker->plan->crew, &poll->job);
    }
}

/* ---- The beginning ---- */

/* How many fresh messages, and of what sizes: decided by the seed. */
static void draw_messages(struct poll *poll)
{
    struct worker *worker = poll->worker;
    const struct group *group = worker_group(worker, poll->letter.agent);
    uint64_t seed = worker->plan->seed ^ ((uint64_t)(worker->number + 1) << 48);
    poll->letter.fresh = 0;
    if (group == NULL || group->is->messages_per_poll <= 0) {
        return;
    }
    double wanted = group->is->messages_per_poll;
    size_t count = (size_t)wanted;
    count += schedule_draw(seed, worker->draws++) < wanted - (double)count;
    for (size_t i = 0; i < count && i < LETTER_MESSAGES_MAX; i++) {
        poll->letter.sizes[poll->letter.fresh++] =
            scenario_group_size(group->is, schedule_draw(seed, worker->draws++));
    }
}

bool poll_begin(struct worker *worker, struct agent *agent, usec_t planned)
{
    struct poll *poll = take_poll(worker);
    if (poll == NULL) {
        return false;
    }
    usec_t now = real_now();
    CHECK(!agent->is_polling);
    agent->is_polling = true;
    agent->first = agent->first == 0 ? now : agent->first;
    poll->is_closing = worker->is_ending;
    if (poll->is_closing) {
        TALLY_ADD(worker->tally.totals.closing_polls, 1);
    } else {
        histogram_record(&worker->tally.lateness,
                         now - (planned > agent->freed ? planned : agent->freed));
        TALLY_ADD(worker->tally.totals.started, 1);
    }
    poll_list_push_back(&worker->busy, poll);
    count_traffic(worker);
    poll->origin = origin_of(agent, planned);
    poll->own = poll->origin - planned;
    poll->since = now;
    letter_begin(&poll->letter, agent, clock_wall(&clock_system));
    draw_messages(poll);
    if (vault_read(worker->vault, (size_t)(agent - worker->agents), &poll->letter.record) < 0) {
        fail(poll, FAULT_GENERATOR);
    } else if (agent->wants_page) {
        fetch_page(poll);
    } else {
        write_letter(poll);
    }
    return true;
}
