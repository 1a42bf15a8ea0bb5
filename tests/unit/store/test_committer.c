/* SPDX-License-Identifier: Apache-2.0 */
/* The committer over the memory engine, whose commits can be made slow or fail. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "contract.h"
#include "store/committer.h"
#include "store/store_engine.h"
#include "store/store_memory.h"

/* What the next commits do. `real` is the memory engine's table. */
static struct {
    const struct store_methods *real;
    struct store_methods methods;
    pthread_mutex_t gate;    /* held: commits wait */
    atomic_int fail_all;     /* errno of every commit; 0: none */
    atomic_int fail_batches; /* errno of every commit that holds a timestamp of POISON; 0: none */
    atomic_int calls;
    atomic_int durable_calls;
    atomic_bool waiting;
} fake;

enum { POISON = 666 };

static bool is_poisoned(const struct store_commit *commits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (commits[i].bundle->message_count > 0 &&
            commits[i].bundle->messages[0].packet_timestamp == POISON) {
            return true;
        }
    }
    return false;
}

static int fake_commit(struct store *store, struct store_commit *commits, size_t count,
                       enum store_durability durability, struct error *error)
{
    fake.waiting = true;
    pthread_mutex_lock(&fake.gate);
    pthread_mutex_unlock(&fake.gate);
    fake.waiting = false;
    fake.calls++;
    fake.durable_calls += durability == STORE_DURABLE;
    if (fake.fail_all != 0) {
        return -fake.fail_all;
    }
    if (fake.fail_batches != 0 && is_poisoned(commits, count)) {
        return -fake.fail_batches;
    }
    return fake.real->commit(store, commits, count, durability, error);
}

enum { JOBS = 64 };

struct poll {
    struct committer_job job;
    struct store_bundle bundle;
    struct store_message message;
    int result; /* 1: not done */
    int order;
};

static struct contract contract;
static struct committer *committer;
static struct poll polls[JOBS];
static atomic_int finished;

static void done(struct committer_job *job, int result)
{
    struct poll *poll = CONTAINER_OF(job, struct poll, job);
    poll->result = result;
    poll->order = finished;
    finished++; /* last: it tells the test that the rest can be read */
}

static void start(const struct committer_settings *wanted)
{
    struct committer_settings settings = *wanted;
    settings.store = contract.store;
    cr_assert_eq(committer_new(&settings, &committer, &contract.error), 0);
}

static void set_up(void)
{
    arena_init(&contract.arena, 65536, 64 << 20);
    cr_assert_eq(store_memory_open(&clock_system, 64 << 20, &contract.store), 0);
    pthread_mutex_init(&fake.gate, NULL);
    fake.real = contract.store->methods;
    fake.methods = *fake.real;
    fake.methods.commit = fake_commit;
    contract.store->methods = &fake.methods;
    enrol(&contract, 1);
}

static void tear_down(void)
{
    committer_free(committer);
    store_free(contract.store);
    arena_done(&contract.arena);
}

TestSuite(committer, .init = set_up, .fini = tear_down);

static int submit(int i, uint64_t timestamp)
{
    struct poll *poll = &polls[i];
    *poll = (struct poll){.message = test_message(timestamp, 0), .result = 1};
    poll->bundle = (struct store_bundle){
        .agent = test_agent(1), .messages = &poll->message, .message_count = 1};
    poll->job.commit.bundle = &poll->bundle;
    poll->job.done = done;
    return committer_submit(committer, &poll->job);
}

static void wait_until_finished(int count)
{
    for (int i = 0; i < 10000 && finished < count; i++) {
        usleep(1000);
    }
    cr_assert_eq(finished, count);
}

/* The thread stands at the gate, with one job in its hands. */
static void hold(void)
{
    pthread_mutex_lock(&fake.gate);
    cr_assert_eq(submit(0, 1), 0);
    while (!fake.waiting) {
        usleep(1000);
    }
}

static void let_go(void)
{
    pthread_mutex_unlock(&fake.gate);
}

static struct committer_statistics statistics(void)
{
    struct committer_statistics statistics;
    committer_read_statistics(committer, &statistics);
    return statistics;
}

Test(committer, a_job_is_done_when_it_is_stored)
{
    start(&(struct committer_settings){.limits.queue_max = 10});
    cr_assert_eq(submit(0, 1), 0);
    wait_until_finished(1);
    cr_assert_eq(polls[0].result, 0);
    cr_assert_eq(polls[0].job.commit.fresh, 1);
    cr_assert_eq(count_messages(&contract, 1), 1);
    cr_assert_eq(fake.durable_calls, 1);
}

Test(committer, what_waits_goes_in_one_transaction_in_order)
{
    start(&(struct committer_settings){.limits.queue_max = 100});
    hold();
    for (int i = 1; i < 21; i++) {
        cr_assert_eq(submit(i, (uint64_t)i + 1), 0);
    }
    cr_assert_eq(statistics().queue_length, 20);
    let_go();
    wait_until_finished(21);
    for (int i = 0; i < 21; i++) {
        cr_assert_eq(polls[i].result, 0);
        cr_assert_eq(polls[i].order, i);
    }
    cr_assert_eq(statistics().commits, 2);
    cr_assert_eq(statistics().jobs, 21);
    cr_assert_eq(statistics().longest_batch, 20);
    uint64_t observed = 0;
    for (size_t i = 0; i < METRIC_BUCKET_COUNT; i++) {
        observed += statistics().histogram[i];
    }
    cr_assert_eq(observed, 2);
    cr_assert_gt(statistics().worst, 0);
}

Test(committer, a_batch_is_bounded)
{
    start(&(struct committer_settings){.limits.queue_max = 100, .limits.batch_max = 8});
    hold();
    for (int i = 1; i < 21; i++) {
        cr_assert_eq(submit(i, (uint64_t)i + 1), 0);
    }
    let_go();
    wait_until_finished(21);
    cr_assert_eq(statistics().commits, 4);
    cr_assert_eq(statistics().longest_batch, 8);
}

Test(committer, a_full_queue_says_so_at_once)
{
    start(&(struct committer_settings){.limits.queue_max = 4});
    hold();
    for (int i = 1; i <= 4; i++) {
        cr_assert_eq(submit(i, (uint64_t)i + 1), 0);
    }
    cr_assert_eq(submit(5, 10), -EAGAIN);
    cr_assert_eq(statistics().refused, 1);
    let_go();
    wait_until_finished(5);
    cr_assert_eq(submit(5, 10), 0);
    wait_until_finished(6);
}

Test(committer, a_bad_bundle_fails_alone)
{
    start(&(struct committer_settings){.limits.queue_max = 100});
    fake.fail_batches = ENOMEM;
    hold();
    for (int i = 1; i < 10; i++) {
        cr_assert_eq(submit(i, i == 5 ? POISON : (uint64_t)i + 1), 0);
    }
    let_go();
    wait_until_finished(10);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(polls[i].result, i == 5 ? -ENOMEM : 0);
    }
    cr_assert_eq(count_messages(&contract, 1), 9);
}

Test(committer, a_failing_store_fails_every_job_and_recovers)
{
    start(&(struct committer_settings){.limits.queue_max = 100});
    fake.fail_all = EIO;
    hold();
    for (int i = 1; i < 10; i++) {
        cr_assert_eq(submit(i, (uint64_t)i + 1), 0);
    }
    let_go();
    wait_until_finished(10);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(polls[i].result, -EIO);
    }
    cr_assert_eq(fake.calls, 2); /* not one by one */
    cr_assert_eq(statistics().failures, 2);
    fake.fail_all = 0;
    cr_assert_eq(submit(0, 1), 0);
    wait_until_finished(11);
    cr_assert_eq(polls[0].result, 0);
}

static usec_t last_seen(uint64_t agent)
{
    struct store_agent *found = NULL;
    cr_assert_eq(store_read_agent(contract.store, test_agent(agent), &contract.arena, &found, NULL),
                 0);
    return found->last_seen;
}

static int see(uint64_t agent, usec_t at)
{
    struct store_sighting sighting = {.at = at, .clock = at, .address = STR("192.0.2.7")};
    return committer_see(committer, test_agent(agent), &sighting);
}

Test(committer, sightings_are_written_together_and_later)
{
    enrol(&contract, 2);
    start(&(struct committer_settings){.limits.seen_delay = 200 * USEC_PER_MSEC});
    for (usec_t at = 1; at <= 100; at++) {
        cr_assert_eq(see(1, at), 0);
        cr_assert_eq(see(2, at), 0);
    }
    cr_assert_eq(see(2, 50), 0); /* an earlier one changes nothing */
    for (int i = 0; i < 1000 && statistics().sightings < 2; i++) {
        usleep(10000);
    }
    cr_assert_eq(statistics().sightings, 2);
    cr_assert_eq(fake.calls, 1);
    cr_assert_eq(fake.durable_calls, 0);
    cr_assert_eq(last_seen(1), 100);
    cr_assert_eq(last_seen(2), 100);
}

Test(committer, sightings_that_cannot_be_written_are_tried_again)
{
    start(&(struct committer_settings){.limits.seen_delay = 10 * USEC_PER_MSEC});
    fake.fail_all = ENOSPC;
    cr_assert_eq(see(1, 7), 0);
    while (statistics().failures == 0) {
        usleep(1000);
    }
    fake.fail_all = 0;
    for (int i = 0; i < 1000 && last_seen(1) != 7; i++) {
        usleep(10000);
    }
    cr_assert_eq(last_seen(1), 7);
}

Test(committer, sightings_are_bounded)
{
    start(&(struct committer_settings){.seen_max = 3, .limits.seen_delay = USEC_PER_HOUR});
    hold();
    for (uint64_t i = 1; i <= 3; i++) {
        cr_assert_eq(see(i, 1), 0);
    }
    cr_assert_eq(see(4, 1), -EAGAIN);
    cr_assert_eq(see(3, 2), 0);
    let_go();
    for (int i = 0; i < 1000 && statistics().sightings < 3; i++) {
        usleep(10000);
    }
    cr_assert_eq(statistics().sightings, 3); /* a full table does not wait an hour */
}

Test(committer, stopping_writes_everything)
{
    start(
        &(struct committer_settings){.limits.queue_max = 100, .limits.seen_delay = USEC_PER_HOUR});
    hold();
    for (int i = 1; i < 30; i++) {
        cr_assert_eq(submit(i, (uint64_t)i + 1), 0);
    }
    cr_assert_eq(see(1, 42), 0);
    cr_assert_eq(committer_stop(committer, 20 * USEC_PER_MSEC), -ETIMEDOUT);
    cr_assert_eq(submit(40, 50), -ESHUTDOWN);
    cr_assert_eq(see(1, 43), -ESHUTDOWN);
    let_go();
    cr_assert_eq(committer_stop(committer, 30 * USEC_PER_SEC), 0);
    cr_assert_eq(finished, 30);
    cr_assert_eq(count_messages(&contract, 1), 30);
    cr_assert_eq(last_seen(1), 42);
    cr_assert_eq(committer_stop(committer, 0), 0);
}

static void *submit_some(void *context)
{
    int first = *(int *)context;
    for (int i = first; i < first + JOBS / 4; i++) {
        while (submit(i, (uint64_t)i + 1) == -EAGAIN) {
            usleep(100);
        }
    }
    return NULL;
}

Test(committer, many_threads_may_submit)
{
    pthread_t threads[4];
    int first[4];
    start(&(struct committer_settings){.limits.queue_max = 8});
    for (int i = 0; i < 4; i++) {
        first[i] = i * (JOBS / 4);
        cr_assert_eq(pthread_create(&threads[i], NULL, submit_some, &first[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_assert_eq(committer_stop(committer, 30 * USEC_PER_SEC), 0);
    cr_assert_eq(finished, JOBS);
    cr_assert_eq(count_messages(&contract, 1), JOBS);
}

/* ---- limits ---- */

Test(committer, an_idle_one_never_waits_for_more)
{
    usec_t began = clock_monotonic(&clock_system);
    start(&(struct committer_settings){.limits.delay = USEC_PER_HOUR});
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(submit(i, (uint64_t)i + 1), 0);
        wait_until_finished(i + 1);
    }
    cr_assert_eq(statistics().commits, 5);
    cr_assert_lt(clock_monotonic(&clock_system) - began, 10 * USEC_PER_SEC);
}

/* The transaction before had several. */
static void be_busy(void)
{
    hold();
    for (int i = 1; i <= 4; i++) {
        cr_assert_eq(submit(i, (uint64_t)i + 1), 0);
    }
    let_go();
    wait_until_finished(5);
    cr_assert_eq(statistics().commits, 2);
}

Test(committer, a_busy_one_waits_for_more)
{
    start(&(struct committer_settings){.limits.delay = 500 * USEC_PER_MSEC});
    be_busy();
    cr_assert_eq(submit(5, 10), 0);
    usleep(50 * 1000);
    cr_assert_eq(submit(6, 11), 0);
    wait_until_finished(7);
    cr_assert_eq(statistics().commits, 3);
}

Test(committer, a_full_batch_waits_for_nothing)
{
    start(&(struct committer_settings){.limits.delay = USEC_PER_HOUR, .limits.batch_max = 4});
    be_busy();
    for (int i = 5; i < 9; i++) {
        cr_assert_eq(submit(i, (uint64_t)i + 10), 0);
    }
    wait_until_finished(9);
}

Test(committer, stopping_ends_the_wait_for_more)
{
    start(&(struct committer_settings){.limits.delay = USEC_PER_HOUR});
    be_busy();
    cr_assert_eq(submit(5, 10), 0);
    cr_assert_eq(committer_stop(committer, 10 * USEC_PER_SEC), 0);
    cr_assert_eq(finished, 6);
}

Test(committer, its_limits_can_change_while_it_runs)
{
    const struct committer_limits wrong = {.batch_max = STORE_BATCH_MAX + 1};
    const struct committer_limits wider = {.queue_max = 8, .batch_max = STORE_BATCH_MAX};
    start(&(struct committer_settings){.limits.queue_max = 2, .limits.batch_max = 1});
    cr_assert_eq(committer_set_limits(committer, &wrong), -EINVAL);
    hold();
    cr_assert_eq(submit(1, 2), 0);
    cr_assert_eq(submit(2, 3), 0);
    cr_assert_eq(submit(3, 4), -EAGAIN);
    cr_assert_eq(committer_set_limits(committer, &wider), 0);
    cr_assert_eq(submit(3, 4), 0);
    let_go();
    wait_until_finished(4);
    cr_assert_eq(statistics().longest_batch, 3);
}

static struct committer_note notes[8];
static atomic_int note_count;

static void take_note(void *context, const struct committer_note *note)
{
    cr_assert_eq(context, &contract);
    notes[note_count] = *note;
    note_count++;
}

Test(committer, tells_of_each_transaction)
{
    start(&(struct committer_settings){.noted = take_note, .context = &contract});
    be_busy();
    fake.fail_all = EIO;
    cr_assert_eq(submit(5, 10), 0);
    wait_until_finished(6);
    cr_assert_eq(note_count, 3);
    cr_assert_eq(notes[0].jobs, 1);
    cr_assert_eq(notes[1].jobs, 4);
    cr_assert_eq(notes[1].result, 0);
    cr_assert_geq(notes[1].took, 0);
    cr_assert_eq(notes[2].result, -EIO);
}

Test(committer, says_since_when_a_transaction_is_under_way)
{
    start(&(struct committer_settings){.limits.queue_max = 4});
    cr_assert_eq(statistics().busy_since, 0);
    hold();
    cr_assert_gt(statistics().busy_since, 0);
    cr_assert_leq(statistics().busy_since, clock_monotonic(&clock_system));
    let_go();
    wait_until_finished(1);
    cr_assert_eq(statistics().busy_since, 0);
}
