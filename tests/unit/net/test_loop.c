/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop: what arrives, what must not arrive, and who may say so. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/loop.h"

/* One end of a socket pair, watched. */
struct end {
    struct watch watch;
    struct garbage garbage;
    struct loop *loop;
    int other; /* the unwatched end */
    int calls;
    unsigned last;
    struct end *victim;
    void (*act)(struct end *end);
};

static void end_ready(struct watch *watch, unsigned ready)
{
    struct end *end = CONTAINER_OF(watch, struct end, watch);
    end->calls++;
    end->last = ready;
    if (end->act != NULL) {
        end->act(end);
    }
}

static struct loop *new_loop(void)
{
    struct error error;
    struct loop *loop = loop_new(&clock_system, &error);
    cr_assert_not_null(loop, "%s", error.message);
    return loop;
}

static void end_init(struct end *end, struct loop *loop)
{
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    *end = (struct end){.loop = loop, .other = pair[1]};
    watch_init(&end->watch, pair[0], end_ready);
    cr_assert_eq(watch_set(loop, &end->watch, WATCH_READ), 0);
}

static void end_done(struct end *end)
{
    watch_stop(end->loop, &end->watch);
    close(end->watch.fd);
    close(end->other);
}

static void poke(struct end *end)
{
    cr_assert_eq(write(end->other, "x", 1), 1);
}

static void turn(struct loop *loop)
{
    cr_assert_eq(loop_turn(loop, 0), 0);
}

Test(loop, delivers_level_triggered_readiness)
{
    struct loop *loop = new_loop();
    struct end end;
    end_init(&end, loop);
    turn(loop);
    cr_assert_eq(end.calls, 0);
    poke(&end);
    turn(loop);
    turn(loop);
    cr_assert_eq(end.calls, 2);
    cr_assert_eq(end.last, WATCH_READ);
    cr_assert_eq(watch_set(loop, &end.watch, WATCH_READ | WATCH_WRITE), 0);
    turn(loop);
    cr_assert_eq(end.last, WATCH_READ | WATCH_WRITE);
    end_done(&end);
    cr_assert_eq(loop_watches(loop), 0);
    loop_free(loop);
}

Test(loop, tells_a_writer_that_the_peer_is_gone)
{
    struct loop *loop = new_loop();
    struct end end;
    end_init(&end, loop);
    cr_assert_eq(watch_set(loop, &end.watch, WATCH_WRITE), 0);
    close(end.other);
    turn(loop);
    cr_assert_eq(end.last, WATCH_WRITE);
    watch_stop(loop, &end.watch);
    turn(loop);
    cr_assert_eq(end.calls, 1, "a stopped watch hears nothing, hang-up included");
    close(end.watch.fd);
    loop_free(loop);
}

static void stop_victim(struct end *end)
{
    watch_stop(end->loop, &end->victim->watch);
    watch_stop(end->loop, &end->watch);
}

/* Two watches, both ready; whichever comes first stops the other. */
Test(loop, does_not_deliver_a_collected_event_to_a_stopped_watch)
{
    struct loop *loop = new_loop();
    struct end a;
    struct end b;
    end_init(&a, loop);
    end_init(&b, loop);
    a.victim = &b;
    b.victim = &a;
    a.act = b.act = stop_victim;
    poke(&a);
    poke(&b);
    turn(loop);
    turn(loop);
    cr_assert_eq(a.calls + b.calls, 1);
    end_done(&a);
    end_done(&b);
    loop_free(loop);
}

static void restart_victim(struct end *end)
{
    watch_stop(end->loop, &end->victim->watch);
    cr_assert_eq(watch_set(end->loop, &end->victim->watch, WATCH_READ), 0);
    end->act = end->victim->act = NULL;
}

Test(loop, does_not_deliver_an_older_event_to_a_restarted_watch)
{
    struct loop *loop = new_loop();
    struct end a;
    struct end b;
    end_init(&a, loop);
    end_init(&b, loop);
    a.victim = &b;
    b.victim = &a;
    a.act = b.act = restart_victim;
    poke(&a);
    poke(&b);
    turn(loop);
    cr_assert_eq(a.calls + b.calls, 1);
    turn(loop);
    cr_assert_eq(a.calls + b.calls, 3);
    end_done(&a);
    end_done(&b);
    loop_free(loop);
}

static int freed;

static void free_end(struct garbage *garbage)
{
    freed++;
    free(CONTAINER_OF(garbage, struct end, garbage));
}

static void end_and_free(struct end *end)
{
    end_done(end);
    loop_free_later(end->loop, &end->garbage, free_end);
    end->calls = 77; /* still ours until the turn ends */
}

static void end_and_free_both(struct end *end)
{
    cr_assert_eq(freed, 0);
    end_and_free(end->victim);
    end_and_free(end);
}

Test(loop, frees_at_the_end_of_the_turn)
{
    struct loop *loop = new_loop();
    struct end *ends[2];
    for (int i = 0; i < 2; i++) {
        ends[i] = malloc(sizeof *ends[i]);
        end_init(ends[i], loop);
        ends[i]->act = end_and_free_both;
        poke(ends[i]);
    }
    ends[0]->victim = ends[1];
    ends[1]->victim = ends[0];
    turn(loop);
    cr_assert_eq(freed, 2);
    turn(loop);
    loop_free(loop);
}

static void *last_freed;

/* Not the advice of the header, but it must not crash either. */
static void forget_and_free_victim(struct end *end)
{
    struct end *victim = end->victim;
    if (victim != NULL) {
        victim->victim = end->victim = NULL;
        watch_forget(end->loop, &victim->watch);
        close(victim->watch.fd);
        close(victim->other);
        last_freed = victim;
        free(victim);
    }
}

Test(loop, has_no_way_from_an_event_to_freed_memory)
{
    struct loop *loop = new_loop();
    struct end *ends[2];
    for (int i = 0; i < 2; i++) {
        ends[i] = malloc(sizeof *ends[i]);
        end_init(ends[i], loop);
        ends[i]->act = forget_and_free_victim;
        poke(ends[i]);
    }
    ends[0]->victim = ends[1];
    ends[1]->victim = ends[0];
    turn(loop);
    cr_assert_eq(last_freed == ends[0] || last_freed == ends[1], true);
    cr_assert_eq(loop_watches(loop), 1);
    turn(loop);
    struct end *left = last_freed == ends[0] ? ends[1] : ends[0];
    end_done(left);
    free(left);
    loop_free(loop);
}

Test(loop, returns_a_failed_registration)
{
    struct loop *loop = new_loop();
    struct watch watch;
    int file = open("CMakeLists.txt", O_RDONLY | O_CLOEXEC);
    watch_init(&watch, file, NULL);
    cr_assert_eq(watch_set(loop, &watch, WATCH_READ), -EPERM, "epoll takes no plain files");
    cr_assert_eq(watch.interest, 0);
    cr_assert_eq(loop_watches(loop), 0);
    close(file);
    loop_free(loop);
}

struct alarm {
    struct timer timer;
    struct loop *loop;
    usec_t fired_at;
};

static void alarm_fire(struct timer *timer, usec_t now)
{
    struct alarm *alarm = CONTAINER_OF(timer, struct alarm, timer);
    alarm->fired_at = now;
    loop_stop(alarm->loop);
}

Test(loop, fires_deadlines_never_early)
{
    struct loop *loop = new_loop();
    struct alarm alarm = {.loop = loop};
    timer_init(&alarm.timer, alarm_fire);
    for (usec_t wait = 1; wait < 20000; wait = wait * 3 + 7) {
        usec_t deadline = clock_monotonic(&clock_system) + wait;
        loop_arm(loop, &alarm.timer, deadline);
        cr_assert_eq(loop_run(loop), 0);
        cr_assert_geq(alarm.fired_at, deadline);
        cr_assert_eq(alarm.fired_at, loop_now(loop));
    }
    loop_free(loop);
}

/* From here on this process has a kernel without epoll_pwait2(). */
static void forbid_microseconds(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {ARRAY_LEN(filter), filter};
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

Test(loop, fires_deadlines_on_older_kernels_too)
{
    forbid_microseconds();
    struct loop *loop = new_loop();
    struct alarm alarm = {.loop = loop};
    timer_init(&alarm.timer, alarm_fire);
    for (usec_t wait = 1; wait < 10000; wait = wait * 3 + 7) {
        usec_t deadline = clock_monotonic(&clock_system) + wait;
        loop_arm(loop, &alarm.timer, deadline);
        cr_assert_eq(loop_run(loop), 0);
        cr_assert_geq(alarm.fired_at, deadline);
    }
    loop_free(loop);
}

Test(loop, takes_its_time_from_the_injected_clock)
{
    struct clock_fake fake;
    clock_fake_init(&fake, 5000000, 0);
    struct loop *loop = loop_new(&fake.clock, NULL);
    struct alarm alarm = {.loop = loop};
    timer_init(&alarm.timer, alarm_fire);
    loop_arm(loop, &alarm.timer, fake.now + USEC_PER_HOUR);
    clock_fake_advance(&fake, USEC_PER_HOUR - 1);
    turn(loop);
    cr_assert_eq(alarm.fired_at, 0);
    clock_fake_advance(&fake, TIMERS_TICK);
    turn(loop);
    cr_assert_eq(alarm.fired_at, fake.now);
    loop_free(loop);
}

struct slow_end {
    struct end end;
    struct clock_fake *fake;
    struct alarm *alarm;
    usec_t fired_before; /* what the alarm said when this end's turn came */
};

static void take_a_second(struct end *end)
{
    struct slow_end *slow = CONTAINER_OF(end, struct slow_end, end);
    slow->fired_before = slow->alarm->fired_at;
    clock_fake_advance(slow->fake, USEC_PER_SEC);
    char byte;
    cr_assert_eq(read(end->watch.fd, &byte, 1), 1);
}

/* Two descriptors are ready, each of which takes a second; meanwhile a timer comes due. When the
 * second one's turn comes, has it fired? */
static bool fires_between(bool is_punctual)
{
    struct clock_fake fake;
    clock_fake_init(&fake, 5000000, 0);
    struct loop *loop = loop_new(&fake.clock, NULL);
    cr_assert(!is_punctual || loop_be_punctual(loop, 100) == 0);
    struct alarm alarm = {.loop = loop};
    struct slow_end ends[2];
    timer_init(&alarm.timer, alarm_fire);
    for (int i = 0; i < 2; i++) {
        ends[i] = (struct slow_end){.fake = &fake, .alarm = &alarm};
        end_init(&ends[i].end, loop);
        ends[i].end.act = take_a_second;
        cr_assert_eq(write(ends[i].end.other, "x", 1), 1);
    }
    loop_arm(loop, &alarm.timer, fake.now + USEC_PER_SEC / 2);
    turn(loop);
    bool is_between = ends[0].fired_before != 0 || ends[1].fired_before != 0;
    turn(loop);
    cr_expect_neq(alarm.fired_at, 0);
    for (int i = 0; i < 2; i++) {
        end_done(&ends[i].end);
    }
    loop_free(loop);
    return is_between;
}

Test(loop, when_punctual_fires_timers_between_descriptors)
{
    cr_expect(fires_between(true));
    cr_expect(!fires_between(false));
}

Test(loop, when_punctual_keeps_the_finer_tick)
{
    struct clock_fake fake;
    clock_fake_init(&fake, 5000000, 0);
    struct loop *loop = loop_new(&fake.clock, NULL);
    cr_assert_eq(loop_be_punctual(loop, 10), 0);
    struct alarm alarm = {.loop = loop};
    timer_init(&alarm.timer, alarm_fire);
    loop_arm(loop, &alarm.timer, fake.now + 15);
    clock_fake_advance(&fake, 14);
    turn(loop);
    cr_expect_eq(alarm.fired_at, 0);
    clock_fake_advance(&fake, 6);
    turn(loop);
    cr_expect_eq(alarm.fired_at, fake.now);
    loop_free(loop);
}

/* ---- Tasks ---- */

enum { POSTERS = 4, POSTS = 25000 };

struct numbered {
    struct task task;
    struct poster *poster;
    int number;
};

struct poster {
    struct loop *loop;
    pthread_t thread;
    struct numbered *tasks;
    int next;
};

static int tasks_run;

static void numbered_run(struct task *task)
{
    struct numbered *numbered = CONTAINER_OF(task, struct numbered, task);
    cr_assert_eq(numbered->number, numbered->poster->next, "out of order");
    numbered->poster->next++;
    if (++tasks_run == POSTERS * POSTS) {
        loop_stop(numbered->poster->loop);
    }
}

static void *post_all(void *context)
{
    struct poster *poster = context;
    for (int i = 0; i < POSTS; i++) {
        poster->tasks[i].poster = poster;
        poster->tasks[i].number = i;
        task_init(&poster->tasks[i].task, numbered_run);
        loop_post(poster->loop, &poster->tasks[i].task);
    }
    return NULL;
}

Test(loop, runs_tasks_of_four_threads_each_in_order)
{
    struct loop *loop = new_loop();
    struct poster posters[POSTERS];
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.loop = loop};
        posters[i].tasks = calloc(POSTS, sizeof *posters[i].tasks);
        pthread_create(&posters[i].thread, NULL, post_all, &posters[i]);
    }
    cr_assert_eq(loop_run(loop), 0);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        cr_assert_eq(posters[i].next, POSTS);
        free(posters[i].tasks);
    }
    loop_free(loop);
}

struct counter {
    struct task task;
    struct loop *loop;
    int runs;
    int seen;
    int written;
    int again;
};

static void counter_run(struct task *task)
{
    struct counter *counter = CONTAINER_OF(task, struct counter, task);
    counter->runs++;
    counter->seen = counter->written;
    if (counter->again > 0) {
        counter->again--;
        cr_assert(loop_post(counter->loop, task));
    }
}

Test(loop, runs_a_task_once_that_was_posted_often)
{
    struct loop *loop = new_loop();
    struct counter counter = {.loop = loop};
    task_init(&counter.task, counter_run);
    cr_assert(loop_post(loop, &counter.task));
    counter.written = 5;
    cr_assert_not(loop_post(loop, &counter.task));
    turn(loop);
    cr_assert_eq(counter.runs, 1);
    cr_assert_eq(counter.seen, 5);
    turn(loop);
    cr_assert_eq(counter.runs, 1);
    cr_assert(loop_post(loop, &counter.task));
    turn(loop);
    cr_assert_eq(counter.runs, 2);
    loop_free(loop);
}

Test(loop, is_not_starved_by_a_task_that_posts_itself)
{
    struct loop *loop = new_loop();
    struct counter counter = {.loop = loop, .again = 1000};
    struct end end;
    end_init(&end, loop);
    poke(&end);
    task_init(&counter.task, counter_run);
    loop_post(loop, &counter.task);
    for (int i = 0; i < 10; i++) {
        turn(loop);
    }
    cr_assert_eq(counter.runs, 10);
    cr_assert_eq(end.calls, 10);
    end_done(&end);
    loop_free(loop);
}

/* The second round finds tasks that were left over by the bound of a turn. */
Test(loop, runs_more_tasks_than_fit_into_a_turn_without_sleeping)
{
    enum { MANY = 5000 };
    struct loop *loop = new_loop();
    struct counter *counters = calloc(MANY, sizeof *counters);
    for (int i = 0; i < MANY; i++) {
        task_init(&counters[i].task, counter_run);
        loop_post(loop, &counters[i].task);
    }
    for (int turns = 0; counters[MANY - 1].runs == 0; turns++) {
        cr_assert_lt(turns, 10);
        cr_assert_eq(loop_turn(loop, USEC_NEVER), 0);
    }
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(counters[i].runs, 1);
    }
    free(counters);
    loop_free(loop);
}

static void *stop_it(void *loop)
{
    loop_stop(loop);
    return NULL;
}

Test(loop, stops_when_another_thread_says_so)
{
    struct loop *loop = new_loop();
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, stop_it, loop);
        cr_assert_eq(loop_run(loop), 0);
        pthread_join(thread, NULL);
    }
    loop_free(loop);
}

/* Two threads play ping-pong through their loops: a lost wake-up would hang here. */
struct player {
    struct task task;
    struct loop *loop;
    struct player *other;
    int left;
};

static void player_run(struct task *task)
{
    struct player *player = CONTAINER_OF(task, struct player, task);
    player->left--;
    if (player->left >= 0) {
        loop_post(player->other->loop, &player->other->task);
    }
    if (player->left <= 0) {
        loop_stop(player->loop);
    }
}

static void *play(void *context)
{
    struct player *player = context;
    cr_assert_eq(loop_run(player->loop), 0);
    return NULL;
}

Test(loop, loses_no_wake_up_between_two_threads)
{
    struct player players[2];
    for (int i = 0; i < 2; i++) {
        players[i] = (struct player){.loop = new_loop(), .other = &players[1 - i], .left = 5000};
        task_init(&players[i].task, player_run);
    }
    pthread_t thread;
    pthread_create(&thread, NULL, play, &players[1]);
    loop_post(players[0].loop, &players[0].task);
    play(&players[0]);
    pthread_join(thread, NULL);
    loop_free(players[0].loop);
    loop_free(players[1].loop);
}

/* ---- Hooks ---- */

struct counting_hook {
    struct loop_hook hook;
    struct loop *loop;
    int runs;
};

static void count_hook(struct loop_hook *hook)
{
    struct counting_hook *counting = CONTAINER_OF(hook, struct counting_hook, hook);
    if (++counting->runs == 2) {
        loop_hook_remove(counting->loop, hook);
    }
}

Test(loop, runs_hooks_once_in_a_turn_until_they_are_removed)
{
    struct loop *loop = new_loop();
    struct counting_hook hook = {.hook.run = count_hook, .loop = loop};
    loop_hook_add(loop, &hook.hook);
    for (int i = 0; i < 4; i++) {
        turn(loop);
    }
    cr_assert_eq(hook.runs, 2);
    loop_free(loop);
}
