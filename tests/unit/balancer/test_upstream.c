/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's connections to members, with a clock that stands still and members that listen. */
#include "upstream.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker_scene.h"

enum { MEMBERS_MANY = 40 };

/* Some proxy; no event of a lent connection is delivered here. */
static struct proxy nobody;

static struct member *new_member(struct scene *scene)
{
    return member_new(&scene->address, "m", scene->counters, NULL, NULL);
}

static struct upstream *take(struct scene *scene, struct member *member)
{
    struct upstream *upstream = NULL;
    cr_assert_eq(upstream_take(&scene->worker, member, &nobody, &upstream), 0);
    return upstream;
}

/* One idle connection more; its other end. */
static int keep_one(struct scene *scene, struct member *member)
{
    upstream_give(take(scene, member), true, -1);
    int fd;
    do {
        fd = socket_accept(scene->listener, NULL);
    } while (fd == -EAGAIN);
    cr_assert_geq(fd, 0);
    return fd;
}

static void advance(struct scene *scene, usec_t time)
{
    clock_fake_advance(&scene->clock, time);
    turn(scene); /* the timer wheel may need one turn to move on, and one to fire */
    turn(scene);
}

Test(upstream, the_one_used_last_is_lent_again)
{
    struct scene scene;
    begin(&scene, RULES_OF("Balancer.member_idle_connections=8"));
    struct member *member = new_member(&scene);
    struct upstream *first = take(&scene, member);
    struct upstream *second = take(&scene, member);
    cr_assert_neq(first, second);
    upstream_give(first, true, -1);
    upstream_give(second, true, -1);
    cr_assert_eq(pools_idle(scene.worker.pools, member), 2);
    struct upstream *again = take(&scene, member);
    cr_assert_eq(again, second);
    cr_assert(again->is_reused);
    upstream_give(again, false, -1);
    cr_assert_eq(pools_idle(scene.worker.pools, member), 1);
    member_unref(member);
    end(&scene);
}

Test(upstream, no_more_are_kept_than_allowed)
{
    struct scene scene;
    begin(&scene, RULES_OF("Balancer.member_idle_connections=2"));
    struct member *member = new_member(&scene);
    struct upstream *lent[4];
    for (unsigned i = 0; i < 4; i++) {
        lent[i] = take(&scene, member);
    }
    for (unsigned i = 0; i < 4; i++) {
        upstream_give(lent[i], true, -1);
    }
    cr_assert_eq(pools_idle(scene.worker.pools, member), 2);
    cr_assert_eq(pools_idle_in_all(scene.worker.pools), 2);
    member_unref(member);
    end(&scene);
}

Test(upstream, an_idle_one_is_dropped_at_its_deadline)
{
    struct scene scene;
    begin(&scene, RULES_OF("Balancer.member_idle_timeout=10s"));
    struct member *member = new_member(&scene);
    int fd = keep_one(&scene, member);
    advance(&scene, 9 * USEC_PER_SEC);
    cr_assert_eq(pools_idle(scene.worker.pools, member), 1);
    advance(&scene, 2 * USEC_PER_SEC);
    cr_assert_eq(pools_idle(scene.worker.pools, member), 0);
    close(fd);
    member_unref(member);
    end(&scene);
}

/* With a quarter as margin. */
Test(upstream, a_member_that_announces_its_patience_is_left_before)
{
    struct scene scene;
    begin(&scene, RULES_OF("Balancer.member_idle_timeout=60s"));
    struct member *member = new_member(&scene);
    upstream_give(take(&scene, member), true, 8 * USEC_PER_SEC);
    advance(&scene, 5 * USEC_PER_SEC);
    cr_assert_eq(pools_idle(scene.worker.pools, member), 1);
    advance(&scene, 2 * USEC_PER_SEC);
    cr_assert_eq(pools_idle(scene.worker.pools, member), 0);
    upstream_give(take(&scene, member), true, 0);
    cr_assert_eq(pools_idle(scene.worker.pools, member), 0, "it keeps none");
    member_unref(member);
    end(&scene);
}

Test(upstream, one_that_ended_or_spoke_unasked_is_not_lent)
{
    struct scene scene;
    begin(&scene, RULES_OF("Balancer.member_idle_connections=8"));
    struct member *member = new_member(&scene);
    int ended = keep_one(&scene, member);
    close(ended);
    struct upstream *fresh = take(&scene, member);
    cr_assert_not(fresh->is_reused);
    upstream_give(fresh, true, -1);
    int fd = socket_accept(scene.listener, NULL);
    cr_assert_eq(send(fd, "x", 1, 0), 1);
    cr_assert_eq(pools_idle(scene.worker.pools, member), 1);
    turn(&scene);
    cr_assert_eq(pools_idle(scene.worker.pools, member), 0, "it stays though it spoke");
    close(fd);
    member_unref(member);
    end(&scene);
}

static bool keep_even(const struct member *member, void *context)
{
    (void)context;
    return member->id % 2 == 0;
}

Test(upstream, a_sweep_closes_what_is_unwanted_and_keeps_what_is_lent)
{
    struct scene scene;
    begin(&scene, RULES_OF("Balancer.member_idle_connections=8"));
    struct member *members[MEMBERS_MANY];
    unsigned even = 0;
    for (unsigned i = 0; i < MEMBERS_MANY; i++) { /* more than the table had room for at first */
        members[i] = new_member(&scene);
        upstream_give(take(&scene, members[i]), true, -1);
        even += members[i]->id % 2 == 0;
    }
    struct upstream *lent = take(&scene, members[0]);
    struct upstream *other = take(&scene, members[1]);
    cr_assert_eq(pools_idle_in_all(scene.worker.pools), MEMBERS_MANY - 2);
    pools_sweep(scene.worker.pools, keep_even, NULL);
    cr_assert_eq(pools_idle_in_all(scene.worker.pools), even - 1);
    upstream_give(lent, true, -1); /* their pools are still there */
    upstream_give(other, true, -1);
    cr_assert_eq(pools_idle_in_all(scene.worker.pools), even + 1);
    for (unsigned i = 0; i < MEMBERS_MANY; i++) {
        bool is_kept = members[i]->id % 2 == 0 || i < 2;
        cr_assert_eq(pools_idle(scene.worker.pools, members[i]), is_kept, "member %u", i);
        member_unref(members[i]);
    }
    end(&scene);
}

Test(upstream, for_want_of_descriptors_idle_ones_go_one_by_one)
{
    struct scene scene;
    begin(&scene, RULES_OF("Balancer.member_idle_connections=8"));
    struct member *member = new_member(&scene);
    struct upstream *first = take(&scene, member);
    struct upstream *second = take(&scene, member);
    upstream_give(first, true, -1);
    upstream_give(second, true, -1);
    cr_assert(pools_shed(scene.worker.pools));
    cr_assert_eq(pools_idle(scene.worker.pools, member), 1);
    cr_assert(pools_shed(scene.worker.pools));
    cr_assert_not(pools_shed(scene.worker.pools));
    cr_assert_eq(pools_idle_in_all(scene.worker.pools), 0);
    member_unref(member);
    end(&scene);
}

Test(upstream, what_a_disabled_member_gives_back_is_not_kept)
{
    struct scene scene;
    begin(&scene, RULES_OF("Balancer.member_idle_connections=8"));
    struct member *member = new_member(&scene);
    struct upstream *lent = take(&scene, member);
    member_set_wish(member, WISH_DISABLED);
    upstream_give(lent, true, -1);
    cr_assert_eq(pools_idle(scene.worker.pools, member), 0);
    member_unref(member);
    end(&scene);
}
