/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop, on epoll. One thread owns it and everything registered with it; other threads
 * only push to `posted`, set `stopping` and write to the wake-up descriptor.
 *
 * The danger of every event loop is the stale event: the callback for event A ends object B, whose
 * own event was collected in the same turn. Here a watch and its collected event point at each
 * other, and stopping a watch clears both; no event can reach a watch that was stopped, or stopped
 * and started again, even when its memory is gone. The memory itself stays until the end of the
 * turn all the same (loop_free_later()), for the callers that are still on the stack. */
#include "net/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

/* What one turn does at most of each kind. Large enough that the turn's own cost vanishes, small
 * enough that the other kinds wait for a millisecond or so. */
enum {
    EVENTS_PER_TURN = 256,
    TIMERS_PER_TURN = 1024,
    TASKS_PER_TURN = 1024,
    /* Of a punctual loop: between two descriptors, so that neither kind waits for long. */
    TIMERS_BETWEEN = 16,
};

LIST_DECLARE(hook_list, struct loop_hook, link);

struct loop {
    int epoll;
    const struct clock *clock;
    usec_t now;
    struct timers *timers;
    size_t watches;
    bool counts_milliseconds; /* the kernel has no epoll_pwait2() */
    bool is_punctual;

    struct watch wake_watch;     /* an eventfd */
    struct task *_Atomic posted; /* newest first, pushed by any thread */
    struct task *waiting;        /* oldest first, taken from `posted` */
    struct task **waiting_end;
    atomic_bool stopping;

    struct hook_list hooks;
    struct garbage *garbage;
    struct epoll_event events[EVENTS_PER_TURN];
};

/* ---- Life ---- */

static void drain_wake_up(struct watch *watch, unsigned ready)
{
    uint64_t count;
    (void)ready;
    /* Only clears it. A failure can be nothing but EAGAIN, and then it is clear. */
    ssize_t unused = read(watch->fd, &count, sizeof count);
    (void)unused;
}

static int open_descriptors(struct loop *loop)
{
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0) {
        return -errno;
    }
    watch_init(&loop->wake_watch, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), drain_wake_up);
    if (loop->wake_watch.fd < 0) {
        return -errno;
    }
    return watch_set(loop, &loop->wake_watch, WATCH_READ);
}

struct loop *loop_new(const struct clock *clock, struct error *error)
{
    int code = -ENOMEM;
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        goto failed;
    }
    loop->epoll = loop->wake_watch.fd = -1;
    loop->clock = clock;
    loop->now = clock_monotonic(clock);
    loop->waiting_end = &loop->waiting;
    hook_list_init(&loop->hooks);
    loop->timers = timers_new(TIMERS_TICK, loop->now);
    if (loop->timers == NULL) {
        goto failed;
    }
    code = open_descriptors(loop);
    if (code == 0) {
        return loop;
    }
failed:
    error_set_errno(error, code, "cannot make an event loop");
    loop_free(loop);
    return NULL;
}

int loop_be_punctual(struct loop *loop, usec_t tick)
{
    CHECK(timers_count(loop->timers) == 0);
    struct timers *finer = timers_new(tick, loop->now);
    if (finer == NULL) {
        return -ENOMEM;
    }
    timers_free(loop->timers);
    loop->timers = finer;
    loop->is_punctual = true;
    return 0;
}

static void free_garbage(struct loop *loop)
{
    while (loop->garbage != NULL) {
        struct garbage *garbage = loop->garbage;
        loop->garbage = garbage->next;
        garbage->free(garbage);
    }
}

static void close_if_open(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void loop_free(struct loop *loop)
{
    if (loop != NULL) {
        free_garbage(loop);
        close_if_open(loop->wake_watch.fd);
        close_if_open(loop->epoll);
        timers_free(loop->timers);
        free(loop);
    }
}

usec_t loop_now(const struct loop *loop)
{
    return loop->now;
}

size_t loop_watches(const struct loop *loop)
{
    return loop->watches - 1; /* without the one that wakes the loop */
}

/* ---- Descriptors ---- */

static uint32_t epoll_bits(unsigned interest)
{
    return ((interest & WATCH_READ) != 0 ? EPOLLIN : 0U) |
           ((interest & WATCH_WRITE) != 0 ? EPOLLOUT : 0U);
}

/* Error and hang-up answer a read as well as a write. */
static unsigned ready_bits(uint32_t events)
{
    return ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0 ? WATCH_READ : 0U) |
           ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0 ? WATCH_WRITE : 0U);
}

int watch_set(struct loop *loop, struct watch *watch, unsigned interest)
{
    if (interest == watch->interest) {
        return 0;
    }
    if (interest == 0) {
        watch_stop(loop, watch);
        return 0;
    }
    struct epoll_event event = {.events = epoll_bits(interest), .data.ptr = watch};
    int operation = watch->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(loop->epoll, operation, watch->fd, &event) != 0) {
        return -errno;
    }
    loop->watches += watch->interest == 0;
    watch->interest = interest;
    return 0;
}

void watch_forget(struct loop *loop, struct watch *watch)
{
    if (watch->interest != 0) {
        watch->interest = 0;
        loop->watches--;
    }
    if (watch->collected != NULL) {
        watch->collected->data.ptr = NULL;
        watch->collected = NULL;
    }
}

void watch_stop(struct loop *loop, struct watch *watch)
{
    if (watch->interest != 0) {
        /* It is registered, so this cannot fail, unless the owner closed the descriptor before:
         * then some other file may have its number by now. */
        CHECK(epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL) == 0);
    }
    watch_forget(loop, watch);
}

static void remember_events(struct loop *loop, int count)
{
    for (int i = 0; i < count; i++) {
        struct watch *watch = loop->events[i].data.ptr;
        watch->collected = &loop->events[i];
    }
}

static void deliver(struct epoll_event *event)
{
    struct watch *watch = event->data.ptr;
    if (watch == NULL) {
        return; /* stopped meanwhile */
    }
    watch->collected = NULL;
    unsigned ready = ready_bits(event->events) & watch->interest;
    if (ready != 0) {
        watch->ready(watch, ready);
    }
}

static void run_timers_between(struct loop *loop)
{
    usec_t next = timers_next(loop->timers);
    if (next == USEC_NEVER) {
        return;
    }
    usec_t now = clock_monotonic(loop->clock);
    if (next <= now) {
        timers_run(loop->timers, now, TIMERS_BETWEEN);
    }
}

static void deliver_events(struct loop *loop, int count)
{
    remember_events(loop, count);
    for (int i = 0; i < count; i++) {
        if (loop->is_punctual) {
            run_timers_between(loop);
        }
        deliver(&loop->events[i]);
    }
}

/* ---- Deadlines ---- */

void loop_arm(struct loop *loop, struct timer *timer, usec_t deadline)
{
    timers_arm(loop->timers, timer, deadline);
}

void loop_disarm(struct loop *loop, struct timer *timer)
{
    timers_disarm(loop->timers, timer);
}

/* ---- Work from other threads ---- */

/* Only write() and atomics: signal handlers come here. */
static void wake_up(struct loop *loop)
{
    static const uint64_t one = 1;
    int saved = errno;
    /* It fails only when the counter is full, and then the loop is as good as awake. */
    ssize_t unused = write(loop->wake_watch.fd, &one, sizeof one);
    (void)unused;
    errno = saved;
}

void task_init(struct task *task, task_function *run)
{
    task->next = NULL;
    task->run = run;
    atomic_init(&task->posted, false);
}

bool loop_post(struct loop *loop, struct task *task)
{
    if (atomic_exchange(&task->posted, true)) {
        return false;
    }
    struct task *newest = atomic_load_explicit(&loop->posted, memory_order_relaxed);
    do {
        task->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&loop->posted, &newest, task,
                                                    memory_order_release, memory_order_relaxed));
    /* Whoever finds the stack empty wakes the loop, which takes all of it. */
    if (newest == NULL) {
        wake_up(loop);
    }
    return true;
}

static struct task *reverse(struct task *task)
{
    struct task *reversed = NULL;
    while (task != NULL) {
        struct task *next = task->next;
        task->next = reversed;
        reversed = task;
        task = next;
    }
    return reversed;
}

/* Put what was posted, oldest first, behind what waits already. */
static void take_posted(struct loop *loop)
{
    struct task *newest = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire);
    if (newest != NULL) {
        *loop->waiting_end = reverse(newest);
        loop->waiting_end = &newest->next;
    }
}

/* Tasks that these post wait for the next turn, so that descriptors come in between. */
static void run_tasks(struct loop *loop)
{
    take_posted(loop);
    for (int i = 0; i < TASKS_PER_TURN && loop->waiting != NULL; i++) {
        struct task *task = loop->waiting;
        loop->waiting = task->next;
        if (loop->waiting == NULL) {
            loop->waiting_end = &loop->waiting;
        }
        /* Before it runs: what is posted from now on asks for another run. */
        atomic_exchange(&task->posted, false);
        task->run(task);
    }
}

/* ---- The turn ---- */

void loop_free_later(struct loop *loop, struct garbage *garbage, garbage_function *free)
{
    CHECK(garbage->free == NULL);
    garbage->free = free;
    garbage->next = loop->garbage;
    loop->garbage = garbage;
}

void loop_hook_add(struct loop *loop, struct loop_hook *hook)
{
    hook_list_push_back(&loop->hooks, hook);
}

void loop_hook_remove(struct loop *loop, struct loop_hook *hook)
{
    hook_list_remove(&loop->hooks, hook);
}

static void run_hooks(struct loop *loop)
{
    struct loop_hook *next;
    for (struct loop_hook *hook = hook_list_first(&loop->hooks); hook != NULL; hook = next) {
        next = hook_list_next(&loop->hooks, hook);
        hook->run(hook);
    }
}

/* How long to sleep. The clock is asked once more, for callbacks may have taken a while since
 * loop_now(); a timer would be late by as much. */
static usec_t time_to_sleep(const struct loop *loop, usec_t longest)
{
    if (longest == 0 || loop->waiting != NULL || atomic_load(&loop->stopping)) {
        return 0;
    }
    usec_t next = timers_next(loop->timers);
    if (next == USEC_NEVER) {
        return longest;
    }
    usec_t left = next - clock_monotonic(loop->clock);
    if (left <= 0) {
        return 0;
    }
    return left < longest ? left : longest;
}

/* Rounded up: waking early would only mean to sleep again. */
static int in_milliseconds(usec_t time)
{
    usec_t longest = USEC_PER_HOUR;
    if (time == USEC_NEVER) {
        return -1;
    }
    return (int)(((time < longest ? time : longest) + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

static int wait_in_microseconds(struct loop *loop, usec_t time)
{
    struct timespec limit = {time / USEC_PER_SEC, time % USEC_PER_SEC * 1000};
    return epoll_pwait2(loop->epoll, loop->events, EVENTS_PER_TURN,
                        time == USEC_NEVER ? NULL : &limit, NULL);
}

static int wait_for_events(struct loop *loop, usec_t time)
{
    if (!loop->counts_milliseconds) {
        int count = wait_in_microseconds(loop, time);
        /* Older kernels do not have it, some container filters forbid what they do not know. */
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) {
            return count;
        }
        loop->counts_milliseconds = true;
    }
    return epoll_wait(loop->epoll, loop->events, EVENTS_PER_TURN, in_milliseconds(time));
}

/* A punctual loop does less of it at once, as each of its timers is work, and looks at the clock
 * again: descriptors took their time. */
static void run_timers(struct loop *loop)
{
    if (loop->is_punctual) {
        timers_run(loop->timers, clock_monotonic(loop->clock), EVENTS_PER_TURN);
    } else {
        timers_run(loop->timers, loop->now, TIMERS_PER_TURN);
    }
}

int loop_turn(struct loop *loop, usec_t longest)
{
    run_hooks(loop);
    int count = wait_for_events(loop, time_to_sleep(loop, longest));
    if (count < 0 && errno != EINTR) {
        return -errno;
    }
    loop->now = clock_monotonic(loop->clock);
    deliver_events(loop, count < 0 ? 0 : count);
    run_timers(loop);
    run_tasks(loop);
    free_garbage(loop);
    return 0;
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stopping, true);
    wake_up(loop);
}

int loop_run(struct loop *loop)
{
    int code;
    do {
        code = loop_turn(loop, USEC_NEVER);
    } while (code == 0 && !atomic_load(&loop->stopping));
    atomic_store(&loop->stopping, false);
    return code;
}
