/* SPDX-License-Identifier: Apache-2.0 */
/* The control thread's members: new places, new health, administrators' wishes. */
#include "balancer_internal.h"

#include "base/log.h"

static void wake_workers(struct balancer *balancer)
{
    for (unsigned i = 0; i < balancer->worker_count; i++) {
        if (!balancer->is_ended[i]) {
            worker_post_wake(balancer->workers[i]);
        }
    }
}

static enum balance_algorithm algorithm_of(const struct config *config)
{
    return (enum balance_algorithm)config_enum(config, "Balancer.algorithm");
}

struct range *balancer_new_range(struct balancer *balancer, const struct range_place *places,
                                 size_t count)
{
    return range_new(places, count, balancer->now.range, algorithm_of(balancer->now.rules->config),
                     &balancer->shared.ticket, balancer->shared.counters, balancer->loop,
                     &balancer->changed_task);
}

void balancer_places_changed(void *context, const struct places *places)
{
    struct balancer *balancer = context;
    struct range *range = balancer_new_range(balancer, places->items, places->count);
    if (range == NULL || prober_set_range(balancer->prober, range) < 0) {
        log_error("no memory for the members; they stay as they were");
        range_unref(range);
        return;
    }
    range_unref(balancer->now.range);
    balancer->now.range = range;
    balancer_post_updates(balancer);
}

void balancer_member_changed(void *context, struct member *member)
{
    (void)member;
    wake_workers(context);
}

void balancer_look_at_members(struct task *task)
{
    prober_changed(CONTAINER_OF(task, struct balancer, changed_task)->prober);
}

size_t balancer_wish(struct balancer *balancer, struct str host, uint16_t port, enum wish wish)
{
    size_t found = 0;
    for (size_t i = 0; i < range_count(balancer->now.range); i++) {
        struct member *member = range_at(balancer->now.range, i);
        struct str name = str_from(member->name);
        size_t colon = name.len;
        while (colon > 0 && name.data[colon] != ':') {
            colon--;
        }
        struct str named = str_first(name, colon);
        if (named.len > 2 && named.data[0] == '[') {
            named = str_make(named.data + 1, named.len - 2);
        }
        if (address_port(&member->address) == port &&
            (host.len == 0 || str_equal_nocase(host, named))) {
            member_set_wish(member, wish);
            log_info("administration", LOG_TEXT("member", member->name),
                     LOG_TEXT("is", health_word(member_health(member))));
            found++;
        }
    }
    if (found > 0) {
        prober_changed(balancer->prober);
        balancer_post_updates(balancer); /* closes what disabled members keep idle */
    }
    return found;
}

void balancer_show_members(struct balancer *balancer)
{
    size_t counts[HEALTH_WORDS];
    range_count_states(balancer->now.range, counts);
    counters_show_members(balancer->counters, counts, range_usable(balancer->now.range));
}
