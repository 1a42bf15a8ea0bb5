/* SPDX-License-Identifier: Apache-2.0 */
/* A queue, a lock, some threads. */
#include "crew.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "workbench.h"

enum { NICE_CREW = 5, NICE_LOOP = -10 };

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

void crew_go_first(void)
{
    set_nice(NICE_LOOP);
    prctl(PR_SET_TIMERSLACK, 1000UL);
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
    set_nice(NICE_CREW);
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

int crew_start(unsigned threads, struct crew **crew, struct error *error)
{
    struct crew *started = calloc(1, sizeof *started + threads * sizeof(pthread_t));
    if (started == NULL) {
        return error_set(error, -ENOMEM, "no memory");
    }
    pthread_mutex_init(&started->lock, NULL);
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
