/* SPDX-License-Identifier: Apache-2.0 */
/* Members that come, go, lie and hang: real sockets, served on the prober's own loop, and a clock
 * that runs as fast as we like. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "members.h"
#include "net/loop.h"
#include "net/socket.h"
#include "prober.h"
#include "support/support.h"

enum { PLENTY = 1000, EJECT_AFTER = 3 };

#define STEP (5 * USEC_PER_MSEC)

/* What a member answers to a probe. */
enum manner { SERVES, FAILS, KNOWS_NO_GET, KNOWS_NO_PATH, BABBLES, HANGS, HANGS_UP, INTERIM };

static const char *const answers[] = {
    [SERVES] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    [FAILS] = "HTTP/1.1 503 Stopping\r\nContent-Length: 0\r\n\r\n",
    [KNOWS_NO_GET] = "HTTP/1.0 501 Unsupported method\r\n\r\n",
    [KNOWS_NO_PATH] = "HTTP/1.0 404 Not Found\r\n\r\nNothing here",
    [BABBLES] = "SSH-2.0-Nonsense\r\n",
    [HANGS_UP] = "",
    [INTERIM] = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
};

struct place {
    struct watch watch; /* the listener */
    struct address address;
    char name[32];
    enum manner manner;
    unsigned asked;
    usec_t asked_at;
    char request[512];
    int hanging[64];
    unsigned hung;
};

struct world {
    struct clock_fake clock;
    struct loop *loop;
    struct task changed;
    struct place places[PLACES_MAX];
    size_t count;
    struct range *range;
    struct prober *prober;
    struct prober_rules rules;
    unsigned told;
};

static struct world world;

/* False: the request is not there yet. */
static bool answer(struct place *place, int fd)
{
    ssize_t n = recv(fd, place->request, sizeof place->request - 1, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
        return false;
    }
    place->request[n < 0 ? 0 : n] = '\0';
    struct str text = str_from(answers[place->manner]);
    if (text.len > 0) {
        (void)!send(fd, text.data, text.len, MSG_NOSIGNAL);
    }
    close(fd);
    return true;
}

static void accept_probe(struct watch *watch, unsigned ready)
{
    (void)ready;
    struct place *place = CONTAINER_OF(watch, struct place, watch);
    int fd = socket_accept(watch->fd, NULL);
    if (fd >= 0) {
        place->asked++;
        place->asked_at = world.clock.now;
        cr_assert_lt(place->hung, 64);
        place->hanging[place->hung++] = fd;
    }
}

static void answer_probes(struct place *place)
{
    for (unsigned i = place->manner == HANGS ? 0 : place->hung; i-- > 0;) {
        if (answer(place, place->hanging[i])) {
            place->hanging[i] = place->hanging[--place->hung];
        }
    }
}

/* Listen; without a port: on a free one. */
static void place_open(struct place *place)
{
    struct error error = {0};
    int fd = socket_listen(&place->address, &(struct listen_options){0}, &error);
    cr_assert_geq(fd, 0, "%s", error.message);
    cr_assert_eq(socket_local_address(fd, &place->address), 0);
    watch_init(&place->watch, fd, accept_probe);
    cr_assert_eq(watch_set(world.loop, &place->watch, WATCH_READ), 0);
}

static void place_close(struct place *place)
{
    if (place->watch.fd >= 0) {
        watch_forget(world.loop, &place->watch);
        close(place->watch.fd);
        place->watch.fd = -1;
    }
    while (place->hung > 0) {
        close(place->hanging[--place->hung]);
    }
}

static void count_told(void *context, struct member *member)
{
    (void)context;
    cr_assert(range_holds(world.range, member));
    world.told++;
}

static void workers_changed(struct task *task)
{
    (void)task;
    prober_changed(world.prober);
}

/* `count` places, none of them open, all on ports that were free a moment ago. */
static void world_begin(size_t count)
{
    struct range_place places[PLACES_MAX];
    clock_fake_init(&world.clock, USEC_PER_DAY, 0);
    world.loop = loop_new(&world.clock.clock, NULL);
    task_init(&world.changed, workers_changed);
    world.count = count;
    for (size_t i = 0; i < count; i++) {
        struct place *place = &world.places[i];
        make_address(&place->address, "127.0.0.1:0");
        place_open(place);
        snprintf(place->name, sizeof place->name, "m%zu", i);
        places[i] = (struct range_place){place->address, place->name};
    }
    for (size_t i = 0; i < count; i++) {
        place_close(&world.places[i]);
    }
    world.rules = (struct prober_rules){
        .path = "/healthz",
        .interval = 2 * USEC_PER_SEC,
        .timeout = USEC_PER_SEC,
        .eject_time = 10 * USEC_PER_SEC,
        .rise = 2,
        .fall = 3,
    };
    world.range = range_new(places, count, NULL, BALANCE_ROUND_ROBIN, &test_ticket, NULL,
                            world.loop, &world.changed);
    world.prober = prober_new(world.loop, &world.rules, 7, count_told, NULL);
    cr_assert_eq(prober_set_range(world.prober, world.range), 0);
}

static void world_end(void)
{
    prober_free(world.prober);
    for (size_t i = 0; i < world.count; i++) {
        place_close(&world.places[i]);
    }
    cr_assert_eq(loop_watches(world.loop), 0);
    range_unref(world.range);
    loop_free(world.loop);
}

/* Turns without time, for what is under way on the loopback device, which is there at once. */
static void settle(void)
{
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(loop_turn(world.loop, 0), 0);
        for (size_t j = 0; j < world.count; j++) {
            answer_probes(&world.places[j]);
        }
    }
}

static void step(void)
{
    clock_fake_advance(&world.clock, STEP);
    settle();
}

static void pass(usec_t time)
{
    for (usec_t gone = 0; gone < time; gone += STEP) {
        step();
    }
}

static const char *word(size_t i)
{
    return health_word(member_health(range_at(world.range, i)));
}

/* How long until member `i` is `expected`; a failure after `longest`. */
static usec_t time_until(size_t i, const char *expected, usec_t longest)
{
    usec_t start = world.clock.now;
    while (strcmp(word(i), expected) != 0) {
        cr_assert_leq(world.clock.now - start, longest, "still %s", word(i));
        step();
    }
    return world.clock.now - start;
}

static void request(size_t i, enum outcome outcome)
{
    struct member *member = range_at(world.range, i);
    cr_assert(member_enter(member, PLENTY));
    member_leave(member, outcome, EJECT_AFTER, world.clock.now);
}

Test(prober, finds_all_that_listen_at_once_and_nobody_else)
{
    world_begin(20);
    for (size_t i = 0; i < 20; i += 2) {
        place_open(&world.places[i]);
    }
    cr_assert_not(prober_knows_all(world.prober));
    pass(100 * USEC_PER_MSEC);
    cr_assert(prober_knows_all(world.prober));
    for (size_t i = 0; i < 20; i++) {
        cr_assert_str_eq(word(i), i % 2 == 0 ? "up" : "absent", "member %zu", i);
    }
    cr_assert_eq(world.told, 10);
    cr_assert_eq(strncmp(world.places[0].request, "GET /healthz HTTP/1.1\r\nHost: m0\r\n", 33), 0,
                 "%s", world.places[0].request);
    world_end();
}

Test(prober, tells_since_when_a_member_is_what_it_is_and_what_its_probe_took)
{
    world_begin(1);
    struct member *member = range_at(world.range, 0);
    pass(100 * USEC_PER_MSEC);
    cr_expect_eq(member->changed_at, 0, "as it was at the start");
    cr_expect_eq(member->probe_time, 0);
    usec_t opened = world.clock.now;
    place_open(&world.places[0]);
    pass(2 * USEC_PER_SEC);
    cr_expect_str_eq(word(0), "up");
    cr_expect_geq(member->changed_at, opened);
    cr_expect_leq(member->changed_at, world.clock.now);
    cr_expect_gt(member->probe_time, 0);
    cr_expect_lt(member->probe_time, USEC_PER_SEC);
    usec_t joined = member->changed_at;
    pass(5 * USEC_PER_SEC);
    cr_expect_eq(member->changed_at, joined, "it is what it was");
    world_end();
}

Test(prober, lets_a_member_join_within_a_second_of_listening)
{
    world_begin(3);
    for (int i = 0; i < 20; i++) {
        pass(2 * USEC_PER_SEC + i * 70 * USEC_PER_MSEC);
        place_open(&world.places[1]);
        time_until(1, "up", USEC_PER_SEC - STEP);
        place_close(&world.places[1]);
        time_until(1, "absent", 3 * USEC_PER_SEC);
    }
    cr_assert_eq(world.told, 40);
    world_end();
}

Test(prober, spreads_the_looks_at_absent_ports)
{
    world_begin(60);
    pass(10 * USEC_PER_SEC);
    for (size_t i = 0; i < 60; i++) {
        place_open(&world.places[i]);
    }
    size_t most = 0;
    size_t up = 0;
    while (up < 60) {
        step();
        size_t now = range_usable(world.range);
        most = now - up > most ? now - up : most;
        up = now;
    }
    cr_assert_leq(most, 12, "%zu joined within one tick of 5 ms", most);
    world_end();
}

Test(prober, makes_a_refused_member_absent_at_once)
{
    world_begin(1);
    place_open(&world.places[0]);
    time_until(0, "up", USEC_PER_SEC);
    place_close(&world.places[0]);
    request(0, OUTCOME_REFUSED);
    settle();
    cr_assert_str_eq(word(0), "absent");
    cr_assert_eq(world.told, 2);
    place_open(&world.places[0]);
    cr_assert_leq(time_until(0, "up", USEC_PER_SEC), 200 * USEC_PER_MSEC, "the worker's wish");
    world_end();
}

Test(prober, notices_itself_that_a_member_left)
{
    world_begin(1);
    place_open(&world.places[0]);
    time_until(0, "up", USEC_PER_SEC);
    place_close(&world.places[0]);
    cr_assert_leq(time_until(0, "absent", 3 * USEC_PER_SEC), 2200 * USEC_PER_MSEC + STEP);
    world_end();
}

Test(prober, takes_any_answer_of_a_living_server_for_good)
{
    static const enum manner manners[] = {SERVES, KNOWS_NO_GET, KNOWS_NO_PATH, INTERIM};
    world_begin(ARRAY_LEN(manners));
    for (size_t i = 0; i < ARRAY_LEN(manners); i++) {
        world.places[i].manner = manners[i];
        place_open(&world.places[i]);
    }
    pass(10 * USEC_PER_SEC);
    for (size_t i = 0; i < ARRAY_LEN(manners); i++) {
        cr_assert_str_eq(word(i), "up", "manner %d", manners[i]);
        cr_assert_geq(world.places[i].asked, 4);
        cr_assert_leq(world.places[i].asked, 7);
    }
    world_end();
}

Test(prober, takes_members_down_and_up_by_rise_and_fall)
{
    static const enum manner manners[] = {FAILS, BABBLES, HANGS, HANGS_UP};
    for (size_t i = 0; i < ARRAY_LEN(manners); i++) {
        world = (struct world){0};
        world_begin(1);
        struct place *place = &world.places[0];
        place_open(place);
        time_until(0, "up", USEC_PER_SEC);
        unsigned before = place->asked;
        place->manner = manners[i];
        usec_t time = time_until(0, "down", 10 * USEC_PER_SEC);
        cr_assert_eq(place->asked, before + 3, "manner %d", manners[i]);
        cr_assert_geq(time, 5 * USEC_PER_SEC, "manner %d", manners[i]);
        cr_assert_eq(range_usable(world.range), 1, "the last one still serves");
        pass(30 * USEC_PER_SEC);
        cr_assert_leq(world.clock.now - place->asked_at, 5500 * USEC_PER_MSEC);
        place->manner = SERVES;
        answer_probes(place);
        before = place->asked;
        time_until(0, "up", 10 * USEC_PER_SEC);
        cr_assert_leq(place->asked, before + 2, "manner %d", manners[i]);
        cr_assert_eq(world.told, 3);
        world_end();
    }
}

Test(prober, backs_off_from_members_that_are_down)
{
    world_begin(1);
    world.places[0].manner = FAILS;
    place_open(&world.places[0]);
    pass(60 * USEC_PER_SEC);
    cr_assert_str_eq(word(0), "down");
    cr_assert_geq(world.places[0].asked, 11);
    cr_assert_leq(world.places[0].asked, 17, "%u probes in a minute", world.places[0].asked);
    world_end();
}

Test(prober, only_connects_without_a_path)
{
    world_begin(1);
    world.rules.path[0] = '\0';
    prober_set_rules(world.prober, &world.rules);
    world.places[0].manner = HANGS;
    place_open(&world.places[0]);
    pass(USEC_PER_SEC);
    cr_assert_str_eq(word(0), "up");
    world_end();
}

Test(prober, leaves_disabled_members_alone_until_they_are_enabled)
{
    world_begin(2);
    place_open(&world.places[0]);
    place_open(&world.places[1]);
    time_until(1, "up", USEC_PER_SEC);
    settle();
    member_set_wish(range_at(world.range, 0), WISH_DISABLED);
    member_set_wish(range_at(world.range, 1), WISH_DRAINED);
    prober_changed(world.prober);
    unsigned disabled = world.places[0].asked;
    unsigned drained = world.places[1].asked;
    pass(20 * USEC_PER_SEC);
    cr_assert_eq(world.places[0].asked, disabled);
    cr_assert_gt(world.places[1].asked, drained);
    member_set_wish(range_at(world.range, 0), WISH_ENABLED);
    prober_changed(world.prober);
    step();
    cr_assert_eq(world.places[0].asked, disabled + 1);
    world_end();
}

static usec_t eject(void)
{
    for (int i = 0; i < EJECT_AFTER; i++) {
        request(0, OUTCOME_BROKEN);
    }
    settle();
    cr_assert_str_eq(word(0), "ejected");
    return time_until(0, "up", 100 * USEC_PER_SEC);
}

static void assert_about(usec_t time, usec_t expected)
{
    cr_assert(time >= expected - STEP && time <= expected + STEP, "%ld, not %ld", (long)time,
              (long)expected);
}

Test(prober, lets_ejected_members_in_again_later_and_later)
{
    world_begin(1);
    place_open(&world.places[0]);
    time_until(0, "up", USEC_PER_SEC);
    const usec_t eject_time = world.rules.eject_time;
    static const int factors[] = {1, 2, 4, 8, 8};
    for (size_t i = 0; i < ARRAY_LEN(factors); i++) {
        assert_about(eject(), factors[i] * eject_time);
        pass(USEC_PER_SEC);
    }
    pass(9 * eject_time);
    assert_about(eject(), eject_time);
    world_end();
}

Test(prober, forgets_the_ejection_of_a_member_that_left)
{
    world_begin(1);
    place_open(&world.places[0]);
    time_until(0, "up", USEC_PER_SEC);
    for (int i = 0; i < EJECT_AFTER; i++) {
        request(0, OUTCOME_BROKEN);
    }
    place_close(&world.places[0]);
    time_until(0, "absent", USEC_PER_SEC);
    place_open(&world.places[0]);
    time_until(0, "up", USEC_PER_SEC);
    world_end();
}

Test(prober, follows_a_member_that_flaps)
{
    world_begin(1);
    unsigned ups = 0;
    for (int i = 0; i < 100; i++) {
        struct place *place = &world.places[0];
        if (i % 2 == 0) {
            place_open(place);
        } else {
            place_close(place);
            if (strcmp(word(0), "up") == 0) {
                request(0, OUTCOME_REFUSED);
                settle();
                cr_assert_str_eq(word(0), "absent");
            }
        }
        pass(100 * USEC_PER_MSEC);
        ups += strcmp(word(0), "up") == 0;
    }
    cr_assert_geq(ups, 5);
    cr_assert_leq(world.places[0].asked, 110, "%u probes in ten seconds", world.places[0].asked);
    place_open(&world.places[0]);
    time_until(0, "up", USEC_PER_SEC);
    world_end();
}

Test(prober, does_not_probe_as_often_as_workers_wish)
{
    world_begin(1);
    place_open(&world.places[0]);
    time_until(0, "up", USEC_PER_SEC);
    unsigned before = world.places[0].asked;
    for (int i = 0; i < 200; i++) {
        member_want_probe(range_at(world.range, 0));
        step();
    }
    cr_assert_geq(world.places[0].asked - before, 9);
    cr_assert_leq(world.places[0].asked - before, 11);
    world_end();
}

Test(prober, carries_on_with_members_that_stay_in_a_new_range)
{
    world_begin(4);
    for (size_t i = 0; i < 4; i++) {
        world.places[i].manner = HANGS;
        place_open(&world.places[i]);
    }
    pass(10 * USEC_PER_MSEC);
    struct range_place places[2] = {{world.places[2].address, world.places[2].name},
                                    {world.places[0].address, "renamed"}};
    struct range *range = range_new(places, 2, world.range, BALANCE_ROUND_ROBIN, &test_ticket, NULL,
                                    world.loop, &world.changed);
    cr_assert_eq(prober_set_range(world.prober, range), 0);
    range_unref(world.range);
    world.range = range;
    world.places[0].manner = world.places[2].manner = SERVES;
    pass(100 * USEC_PER_MSEC);
    cr_assert_str_eq(word(0), "up");
    cr_assert_str_eq(word(1), "up");
    cr_assert_eq(world.places[2].asked, 1, "its probe went on");
    unsigned others = world.places[1].asked + world.places[3].asked;
    pass(10 * USEC_PER_SEC);
    cr_assert_eq(world.places[1].asked + world.places[3].asked, others);
    world_end();
}

Test(prober, survives_the_lack_of_descriptors)
{
    world_begin(2);
    place_open(&world.places[0]);
    time_until(0, "up", USEC_PER_SEC);
    static int taken[65536];
    size_t count = 0;
    struct fd_reserve reserve;
    cr_assert_eq(fd_reserve_init(&reserve), 0);
    while (count < ARRAY_LEN(taken) && (taken[count] = dup(0)) >= 0) {
        count++;
    }
    unsigned before = world.places[0].asked;
    pass(10 * USEC_PER_SEC);
    cr_assert_str_eq(word(0), "up");
    cr_assert_eq(world.places[0].asked, before);
    while (count > 0) {
        close(taken[--count]);
    }
    fd_reserve_done(&reserve);
    pass(3 * USEC_PER_SEC);
    cr_assert_gt(world.places[0].asked, before);
    world_end();
}
