/* SPDX-License-Identifier: Apache-2.0 */
/* Every job is run once, whatever happens. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "wire/tools.h"
#include "work_pool.h"

enum { JOBS = 200 };

struct task {
    struct work_job job;
    atomic_uint runs;
    atomic_bool had_tools;
};

static struct task tasks[JOBS];
static struct work_pool *pool;
static sem_t gate;
static atomic_uint begun;

static void start(unsigned threads, size_t queue_max)
{
    struct error error = {0};
    struct work_pool_settings settings = {.threads = threads, .queue_max = queue_max};
    cr_assert_eq(sem_init(&gate, 0, 0), 0);
    cr_assert_eq(work_pool_new(&settings, &pool, &error), 0, "%s", error.message);
}

static void run(struct work_job *job, struct wire_tools *tools)
{
    struct task *task = CONTAINER_OF(job, struct task, job);
    task->runs++;
    task->had_tools = tools != NULL && tools->cipher != NULL;
    begun++;
}

static void run_behind_gate(struct work_job *job, struct wire_tools *tools)
{
    begun++;
    if (tools != NULL) {
        while (sem_wait(&gate) < 0) {
        }
    }
    begun--;
    run(job, tools);
}

static int submit(struct task *task, void (*how)(struct work_job *, struct wire_tools *))
{
    task->job.run = how;
    return work_pool_submit(pool, &task->job);
}

static unsigned count_runs(bool had_tools)
{
    unsigned count = 0;
    for (size_t i = 0; i < JOBS; i++) {
        cr_assert(tasks[i].runs <= 1);
        count += tasks[i].runs == 1 && tasks[i].had_tools == had_tools;
    }
    return count;
}

static struct work_pool_statistics statistics(void)
{
    struct work_pool_statistics found;
    work_pool_read_statistics(pool, &found);
    return found;
}

Test(work_pool, runs_each_job_once_with_tools)
{
    start(3, JOBS);
    for (size_t i = 0; i < JOBS; i++) {
        cr_assert_eq(submit(&tasks[i], run), 0);
    }
    work_pool_stop(pool, 10 * USEC_PER_SEC);
    cr_assert_eq(count_runs(true), JOBS);
    cr_assert_eq(statistics().done, JOBS);
    cr_assert_eq(statistics().busy, 0);
    cr_assert_eq(statistics().cancelled, 0);
    work_pool_free(pool);
}

Test(work_pool, has_a_bounded_queue)
{
    start(1, 4);
    cr_assert_eq(submit(&tasks[0], run_behind_gate), 0);
    while (begun == 0) {
        sched_yield();
    }
    for (size_t i = 1; i <= 4; i++) {
        cr_assert_eq(submit(&tasks[i], run), 0);
    }
    cr_assert_eq(submit(&tasks[5], run), -EAGAIN);
    cr_assert_eq(statistics().queue_length, 4);
    cr_assert_eq(statistics().queue_worst, 4);
    cr_assert_eq(statistics().refused, 1);
    cr_assert_eq(statistics().busy, 1);
    sem_post(&gate);
    work_pool_stop(pool, 10 * USEC_PER_SEC);
    cr_assert_eq(count_runs(true), 5);
    cr_assert(statistics().wait_worst > 0 && statistics().wait_total >= statistics().wait_worst);
    work_pool_free(pool);
}

static void *open_gate(void *unused)
{
    while (statistics().cancelled < 3) {
        sched_yield();
    }
    sem_post(&gate);
    return unused;
}

Test(work_pool, cancels_what_waits_when_patience_ends)
{
    pthread_t opener;
    start(1, 10);
    cr_assert_eq(submit(&tasks[0], run_behind_gate), 0);
    while (begun == 0) {
        sched_yield();
    }
    for (size_t i = 1; i <= 3; i++) {
        cr_assert_eq(submit(&tasks[i], run), 0);
    }
    cr_assert_eq(pthread_create(&opener, NULL, open_gate, NULL), 0);
    work_pool_stop(pool, 20 * USEC_PER_MSEC);
    pthread_join(opener, NULL);
    cr_assert_eq(count_runs(true), 1);
    cr_assert_eq(count_runs(false), 3);
    cr_assert_eq(submit(&tasks[4], run), -ESHUTDOWN);
    work_pool_free(pool);
}

Test(work_pool, may_be_freed_with_jobs_in_it)
{
    start(2, JOBS);
    for (size_t i = 0; i < JOBS; i++) {
        cr_assert_eq(submit(&tasks[i], run), 0);
    }
    work_pool_free(pool);
    cr_assert_eq(count_runs(true) + count_runs(false), JOBS);
    work_pool_free(NULL);
}

static void *submit_share(void *context)
{
    size_t first = (size_t)(uintptr_t)context;
    for (size_t i = first; i < JOBS; i += 4) {
        while (submit(&tasks[i], run) == -EAGAIN) {
            sched_yield();
        }
    }
    return NULL;
}

Test(work_pool, takes_jobs_from_many_threads)
{
    pthread_t threads[4];
    start(0, 5);
    for (uintptr_t i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, submit_share, (void *)i), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    work_pool_stop(pool, 10 * USEC_PER_SEC);
    cr_assert_eq(count_runs(true), JOBS);
    work_pool_free(pool);
}
