/* SPDX-License-Identifier: Apache-2.0 */
/* A queue, a lock, some threads. */
#include "crew.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "workbench.h"

enum { NICE_CREW = 5, NICE_LOOP = -10, TURN_NS = 100 * 1000 };

struct crew {
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct job *first, **last;
    bool is_ending;
    unsigned count;
    pthread_t threads[];
};

/* Of this thread alone: that is how Linux means it. Without the right to, it goes on as it is. */
static void set_nice(int nice)
{
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), nice);
}

/* What the kernel calls struct sched_attr, and C libraries only since of late. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period; /* ns */
};

static_assert(sizeof(struct scheduling) == 48, "the first version of it");

/* Everybody may ask for short turns, which since Linux 6.12 are given out sooner: without, a thread
 * that wakes up may wait until the one that runs has had its 3 ms. Niceness does not change that.
 */
static void ask_for_short_turns(void)
{
    const struct scheduling wish = {.size = sizeof wish,
                                    .policy = SCHED_OTHER,
                                    .nice = getpriority(PRIO_PROCESS, 0),
                                    .runtime = TURN_NS};
    syscall(SYS_sched_setattr, 0, &wish, 0U);
}

void crew_go_first(void)
{
    const struct sched_param lowest = {.sched_priority = 1};
    prctl(PR_SET_TIMERSLACK, 1000UL);
    if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &lowest) != 0) {
        set_nice(NICE_LOOP);
        ask_for_short_turns();
    }
}

/* Others never wait for the crew because it woke up. */
static void go_last(void)
{
    const struct sched_param none = {.sched_priority = 0};
    sched_setscheduler(0, SCHED_BATCH, &none);
    set_nice(NICE_CREW);
}

static struct job *take(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    while (crew->first == NULL && !crew->is_ending) {
        pthread_cond_wait(&crew->arrived, &crew->lock);
    }
    struct job *job = crew->first;
    if (job != NULL) {
        crew->first = job->next;
        if (crew->first == NULL) {
            crew->last = &crew->first;
        }
    }
    pthread_mutex_unlock(&crew->lock);
    return job;
}

static void *work(void *argument)
{
    struct crew *crew = argument;
    struct workbench bench;
    struct job *job;
    go_last();
    bool has_bench = workbench_init(&bench) == 0;
    while ((job = take(crew)) != NULL) {
        job->run(job, has_bench ? &bench : NULL);
        loop_post(job->loop, &job->done);
    }
    if (has_bench) {
        workbench_done(&bench);
    }
    return NULL;
}

/* Whoever holds it while a loop waits for it runs at the loop's priority: else a thread of the crew
 * that was interrupted there would keep the loop waiting until it gets a processor again. */
static void make_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

int crew_start(unsigned threads, struct crew **crew, struct error *error)
{
    struct crew *started = calloc(1, sizeof *started + threads * sizeof(pthread_t));
    if (started == NULL) {
        return error_set(error, -ENOMEM, "no memory");
    }
    make_lock(&started->lock);
    pthread_cond_init(&started->arrived, NULL);
    started->last = &started->first;
    while (started->count < threads) {
        int code = pthread_create(&started->threads[started->count], NULL, work, started);
        if (code != 0) {
            crew_stop(started);
            return error_set_errno(error, -code, "cannot start a thread");
        }
        started->count++;
    }
    *crew = started;
    return 0;
}

void crew_do(struct crew *crew, struct job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&crew->lock);
    *crew->last = job;
    crew->last = &job->next;
    pthread_cond_signal(&crew->arrived);
    pthread_mutex_unlock(&crew->lock);
}

void crew_stop(struct crew *crew)
{
    if (crew == NULL) {
        return;
    }
    pthread_mutex_lock(&crew->lock);
    crew->is_ending = true;
    pthread_cond_broadcast(&crew->arrived);
    pthread_mutex_unlock(&crew->lock);
    for (unsigned i = 0; i < crew->count; i++) {
        pthread_join(crew->threads[i], NULL);
    }
    pthread_cond_destroy(&crew->arrived);
    pthread_mutex_destroy(&crew->lock);
    free(crew);
}
