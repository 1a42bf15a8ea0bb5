/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_balancer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "config/config.h"

static struct config *load_config(void)
{
    static const char *const parameters[] = {"Balancer.bind_port=8000"};
    struct problems *problems = problems_new(16);
    struct config *config = NULL;
    struct config_request request = {
        .program = PROGRAM_BALANCER, .parameters = parameters, .parameter_count = 1};
    cr_assert_eq(config_load(&request, problems, &config), 0);
    problems_free(problems);
    return config;
}

static void set_member(struct balancer *balancer, unsigned i, struct health health)
{
    struct error error;
    struct member *member = &balancer->members[i];
    member->id = i + 1;
    snprintf(member->name, sizeof member->name, "localhost:%u", 8080 + i);
    cr_assert_eq(
        address_from_host(STR("127.0.0.1"), (uint16_t)(8080 + i), &member->address, &error), 0);
    member->counters = counters_member(balancer->counters, member->name);
    atomic_init(&member->health, health_pack(health));
}

struct balancer *fake_balancer_new(const struct clock *clock)
{
    struct error error;
    struct balancer *balancer = aligned_alloc(64, sizeof *balancer);
    cr_assert_not_null(balancer);
    memset(balancer, 0, sizeof *balancer);
    balancer->loop = loop_new(clock, &error);
    balancer->counters = counters_new();
    balancer->shard = counters_shard(balancer->counters);
    balancer->config = load_config();
    balancer->uptime = 90 * USEC_PER_SEC;
    set_member(balancer, 0, (struct health){.presence = PRESENCE_UP});
    set_member(balancer, 1, (struct health){.presence = PRESENCE_ABSENT});
    set_member(balancer, 2, (struct health){.presence = PRESENCE_UP, .wish = WISH_DRAINED});
    balancer->member_count = FAKE_MEMBERS;
    for (unsigned i = 0; i < FAKE_WORKERS; i++) {
        balancer->workers[i].number = i;
        balancer->workers[i].recent = recent_new();
    }
    return balancer;
}

void fake_balancer_add_members(struct balancer *balancer)
{
    for (unsigned i = FAKE_MEMBERS; i < FAKE_MEMBERS_MAX; i++) {
        set_member(balancer, i, (struct health){.presence = PRESENCE_UP});
    }
    balancer->member_count = FAKE_MEMBERS_MAX;
}

void fake_balancer_free(struct balancer *balancer)
{
    for (unsigned i = 0; i < FAKE_WORKERS; i++) {
        recent_free(balancer->workers[i].recent);
    }
    config_unref(balancer->config);
    counters_free(balancer->counters);
    loop_free(balancer->loop);
    free(balancer);
}

bool fake_balancer_turn(struct balancer *balancer, bool (*is_done)(void *context), void *context)
{
    usec_t end = clock_monotonic(&clock_system) + 5 * USEC_PER_SEC;
    while (!is_done(context) && clock_monotonic(&clock_system) < end) {
        cr_assert_eq(loop_turn(balancer->loop, 10 * USEC_PER_MSEC), 0);
    }
    return is_done(context);
}

/* ---- balancer.h ---- */

struct loop *balancer_loop(struct balancer *balancer)
{
    return balancer->loop;
}

struct counters *balancer_counters(struct balancer *balancer)
{
    return balancer->counters;
}

struct range *balancer_range(struct balancer *balancer)
{
    return (struct range *)balancer;
}

const struct config *balancer_config(const struct balancer *balancer)
{
    return balancer->config;
}

unsigned balancer_workers(const struct balancer *balancer)
{
    (void)balancer;
    return FAKE_WORKERS;
}

usec_t balancer_uptime(const struct balancer *balancer)
{
    return balancer->uptime;
}

bool balancer_is_stopping(const struct balancer *balancer)
{
    return balancer->is_stopping;
}

const struct balancer_reloaded *balancer_reloaded(const struct balancer *balancer)
{
    return &balancer->reloaded;
}

void balancer_show_members(struct balancer *balancer)
{
    counters_show_members(balancer->shard, (size_t[HEALTH_WORDS]){[HEALTH_UP] = 7}, 8);
}

size_t balancer_wish(struct balancer *balancer, struct str host, uint16_t port, enum wish wish)
{
    bool is_ours = host.len == 0 || str_equal(host, STR("localhost"));
    snprintf(balancer->wished.host, sizeof balancer->wished.host, "%.*s", STR_ARG(host));
    balancer->wished.port = port;
    balancer->wished.wish = wish;
    return is_ours && port >= 8080 && port < 8080 + FAKE_MEMBERS ? 1 : 0;
}

int balancer_reload(struct balancer *balancer, struct error *error)
{
    if (balancer->reload_result < 0) {
        error_set_place(error, "/etc/x.yaml", 3, 1);
        return error_set(error, balancer->reload_result, "bad value");
    }
    return 0;
}

void balancer_stop(struct balancer *balancer)
{
    balancer->is_stopping = true;
}

static void visit_next(struct task *task)
{
    struct question *question = CONTAINER_OF(task, struct question, task);
    struct balancer *balancer = question->balancer;
    if (question->next == FAKE_WORKERS) {
        balancer->asking--;
        question->done(question);
        return;
    }
    question->visit(&balancer->workers[question->next++], question);
    loop_post(balancer->loop, task);
}

void balancer_ask(struct balancer *balancer, struct question *question)
{
    task_init(&question->task, visit_next);
    question->balancer = balancer;
    question->next = 0;
    balancer->questions++;
    balancer->asking++;
    loop_post(balancer->loop, &question->task);
}

/* ---- range.h, member.h ---- */

struct range *range_ref(struct range *range)
{
    return range;
}

void range_unref(struct range *range)
{
    (void)range;
}

size_t range_count(const struct range *range)
{
    return ((const struct balancer *)(uintptr_t)range)->member_count;
}

struct member *range_at(const struct range *range, size_t index)
{
    struct balancer *balancer = (struct balancer *)(uintptr_t)range;
    return &balancer->members[index];
}

size_t range_usable(const struct range *range)
{
    size_t count = 0;
    for (size_t i = 0; i < range_count(range); i++) {
        struct health health = member_health(range_at(range, i));
        count += health.presence == PRESENCE_UP && health.wish == WISH_ENABLED;
    }
    return count;
}

struct health member_health(const struct member *member)
{
    return health_unpack(atomic_load(&member->health));
}

/* ---- worker.h ---- */

unsigned worker_number(const struct worker *worker)
{
    return worker->number;
}

struct recent *worker_recent(struct worker *worker)
{
    return worker->recent;
}

size_t worker_proxies(const struct worker *worker)
{
    return worker->proxy_count;
}

void worker_each_proxy(const struct worker *worker,
                       void (*each)(const struct proxy_summary *summary, void *context),
                       void *context)
{
    for (size_t i = 0; i < worker->proxy_count; i++) {
        each(&worker->proxies[i], context);
    }
}

size_t worker_pooled(const struct worker *worker, const struct member *member)
{
    return worker->pooled[member->id - 1];
}
