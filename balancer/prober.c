/* SPDX-License-Identifier: Apache-2.0 */
/* A slot for each member: when to probe it next, what the last probes said, when an ejection ends.
 *
 * The loop of a member's life here: its timer fires, it gets one of the few places for probes that
 * are under way (or waits for one), the probe's result moves its presence, and the next probe is
 * planned by what it is now. Workers cut in through prober_changed(). The control thread's. */
#include "prober.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "net/loop.h"
#include "probe.h"

enum {
    PROBES_MAX = 256, /* at a time */
    DOWN_BACKOFF = 2, /* doublings of the interval at most */
    ABSENT_BACKOFF = 3,
    EJECTIONS_MAX = 3,
};

/* How soon a port that nobody has is tried again, so that an instance is found within a second of
 * its start; wide ranges are tried less often, so that this stays below 1,000 connects a second. */
#define ABSENT_INTERVAL (500 * USEC_PER_MSEC)
#define ABSENT_SHARE USEC_PER_MSEC

/* Probes back off, but never further than this, unless the interval is longer. */
#define BACKOFF_LONGEST (5 * USEC_PER_SEC)

/* A member is not probed more often than this, whatever workers wish. */
#define SOONEST (100 * USEC_PER_MSEC)

struct slot {
    struct prober *prober;
    struct member *member; /* a reference */
    struct health seen;    /* as last told */
    struct timer timer;    /* of the next probe */
    struct list_link link; /* while it waits for a place */
    struct probe *probe;   /* under way, else NULL */
    usec_t begun;          /* the last probe; negative: none yet */
    bool is_known;         /* a probe of it came to an end */
    struct probe_history history;
    uint8_t backoff; /* how often the interval is doubled */

    struct timer ejection; /* its end */
    uint8_t ejections;     /* that followed each other soon */
    usec_t let_in;         /* when the last one ended */
};

LIST_DECLARE(slot_list, struct slot, link);

struct prober {
    struct loop *loop;
    struct prober_rules rules;
    uint64_t random;
    prober_function *changed;
    void *context;
    struct slot **slots; /* owned, as many as `count` */
    size_t count;
    struct slot_list waiting; /* for a place */
    unsigned under_way;
    bool is_telling;
};

/* ---- Telling ---- */

/* A port that flaps must not fill the log. */
enum { LINES = 100 };
#define LINES_PERIOD (10 * USEC_PER_SEC)

static void log_health(const struct member *member, struct health before, struct health after)
{
    if (after.presence != before.presence && after.presence == PRESENCE_ABSENT) {
        static struct log_limit limit = LOG_LIMIT(LINES, LINES_PERIOD);
        log_limited(&limit, LOG_LEVEL_INFO, "member left", LOG_TEXT("member", member->name));
    } else if (after.presence != before.presence && after.presence == PRESENCE_DOWN) {
        static struct log_limit limit = LOG_LIMIT(LINES, LINES_PERIOD);
        log_limited(&limit, LOG_LEVEL_INFO, "member down", LOG_TEXT("member", member->name));
    } else if (after.presence != before.presence && before.presence == PRESENCE_ABSENT) {
        static struct log_limit limit = LOG_LIMIT(LINES, LINES_PERIOD);
        log_limited(&limit, LOG_LEVEL_INFO, "member joined", LOG_TEXT("member", member->name));
    } else if (after.presence != before.presence) {
        static struct log_limit limit = LOG_LIMIT(LINES, LINES_PERIOD);
        log_limited(&limit, LOG_LEVEL_INFO, "member up", LOG_TEXT("member", member->name));
    }
    if (after.is_ejected && !before.is_ejected) {
        static struct log_limit limit = LOG_LIMIT(LINES, LINES_PERIOD);
        log_limited(&limit, LOG_LEVEL_INFO, "member ejected", LOG_TEXT("member", member->name));
    } else if (!after.is_ejected && before.is_ejected && after.presence != PRESENCE_ABSENT) {
        static struct log_limit limit = LOG_LIMIT(LINES, LINES_PERIOD);
        log_limited(&limit, LOG_LEVEL_INFO, "member let in again",
                    LOG_TEXT("member", member->name));
    }
}

/* Say what is new since the last time. The last thing to do with a slot in a turn: who is told may
 * look at anything but the prober. */
static void tell(struct slot *slot)
{
    struct prober *prober = slot->prober;
    struct health before = slot->seen;
    slot->seen = member_health(slot->member);
    if (health_pack(slot->seen) != health_pack(before)) {
        slot->member->changed_at = loop_now(prober->loop);
        log_health(slot->member, before, slot->seen);
        prober->is_telling = true;
        prober->changed(prober->context, slot->member);
        prober->is_telling = false;
    }
}

/* ---- When ---- */

static uint64_t next_random(struct prober *prober)
{
    uint64_t x = prober->random; /* xorshift64 */
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return prober->random = x;
}

/* `time` within ten percent. */
static usec_t spread(struct prober *prober, usec_t time)
{
    usec_t tenth = time / 10;
    return time - tenth + (usec_t)(next_random(prober) % (uint64_t)(2 * tenth + 1));
}

static usec_t smaller(usec_t a, usec_t b)
{
    return a < b ? a : b;
}

static usec_t larger(usec_t a, usec_t b)
{
    return a > b ? a : b;
}

static usec_t backed_off(const struct slot *slot, usec_t start)
{
    usec_t interval = slot->prober->rules.interval;
    return smaller(start << slot->backoff, larger(interval, BACKOFF_LONGEST));
}

/* From the beginning of one probe to that of the next. */
static usec_t time_between(const struct slot *slot)
{
    const struct prober *prober = slot->prober;
    usec_t interval = prober->rules.interval;
    switch (member_health(slot->member).presence) {
    case PRESENCE_ABSENT:
        interval = larger(ABSENT_INTERVAL, (usec_t)prober->count * ABSENT_SHARE);
        return backed_off(slot, smaller(interval, prober->rules.interval));
    case PRESENCE_DOWN:
        return backed_off(slot, interval);
    case PRESENCE_UP:
        break;
    }
    return interval;
}

static void plan(struct slot *slot)
{
    struct prober *prober = slot->prober;
    if (member_health(slot->member).wish == WISH_DISABLED) {
        loop_disarm(prober->loop, &slot->timer);
        return;
    }
    usec_t between =
        atomic_load(&slot->member->wants_probe) ? SOONEST : spread(prober, time_between(slot));
    loop_arm(prober->loop, &slot->timer, usec_add(slot->begun, between));
}

/* ---- Probes ---- */

static void take_places(struct prober *prober);

/* Absent members that answer nothing, and those that are down, are looked at less and less; one
 * that begins to rise is not kept waiting. */
static void count_backoff(struct slot *slot, enum probe_result result)
{
    enum presence presence = member_health(slot->member).presence;
    bool is_hopeless = result == PROBE_BAD || result == PROBE_UNREACHED;
    if (!is_hopeless || presence == PRESENCE_UP) {
        slot->backoff = 0;
    } else if (slot->backoff < (presence == PRESENCE_DOWN ? DOWN_BACKOFF : ABSENT_BACKOFF)) {
        slot->backoff++;
    }
}

static void move_presence(struct slot *slot, enum probe_result result)
{
    const struct prober_rules *rules = &slot->prober->rules;
    struct member *member = slot->member;
    enum presence before = member_health(member).presence;
    if (before == PRESENCE_ABSENT && result == PROBE_GOOD && atomic_load(&member->wants_probe)) {
        return; /* a worker was refused since this probe began: it is out of date */
    }
    enum presence after =
        health_after_probe(before, &slot->history, result, rules->rise, rules->fall);
    if (after != before) {
        member_set_presence(member, after);
    }
    if (after == PRESENCE_ABSENT) {
        /* Who comes back is another process, and starts with a clean sheet. */
        member_set_ejected(member, false);
        loop_disarm(slot->prober->loop, &slot->ejection);
    }
    count_backoff(slot, result);
}

static void probe_is_over(void *context, enum probe_result result)
{
    struct slot *slot = context;
    struct prober *prober = slot->prober;
    slot->probe = NULL;
    slot->is_known = true;
    if (result == PROBE_GOOD) {
        slot->member->probe_time = larger(loop_now(prober->loop) - slot->begun, 1);
    }
    prober->under_way--;
    move_presence(slot, result);
    plan(slot);
    take_places(prober);
    tell(slot);
}

static void begin(struct slot *slot)
{
    struct prober *prober = slot->prober;
    slot->begun = loop_now(prober->loop);
    /* Before the look: what a worker meets from now on asks for another one. */
    atomic_store(&slot->member->wants_probe, false);
    slot->probe = probe_new(prober->loop, slot->member, prober->rules.path, prober->rules.timeout,
                            probe_is_over, slot);
    if (slot->probe != NULL) {
        prober->under_way++;
    } else {
        plan(slot); /* no memory: another time, perhaps */
    }
}

static void take_places(struct prober *prober)
{
    while (prober->under_way < PROBES_MAX && !slot_list_is_empty(&prober->waiting)) {
        begin(slot_list_pop_front(&prober->waiting));
    }
}

static bool is_waiting(const struct slot *slot)
{
    return slot_list_holds(&slot->prober->waiting, slot);
}

static bool is_being_probed(const struct slot *slot)
{
    return slot->probe != NULL || is_waiting(slot);
}

static void probe_is_due(struct timer *timer, usec_t now)
{
    (void)now;
    struct slot *slot = CONTAINER_OF(timer, struct slot, timer);
    if (!is_being_probed(slot)) {
        slot_list_push_back(&slot->prober->waiting, slot);
        take_places(slot->prober);
    }
}

static void stop_probing(struct slot *slot)
{
    loop_disarm(slot->prober->loop, &slot->timer);
    if (is_waiting(slot)) {
        slot_list_remove(&slot->prober->waiting, slot);
    }
    if (slot->probe != NULL) {
        probe_free(slot->probe);
        slot->probe = NULL;
        slot->prober->under_way--;
    }
}

/* ---- Ejection ---- */

static void ejection_is_over(struct timer *timer, usec_t now)
{
    struct slot *slot = CONTAINER_OF(timer, struct slot, ejection);
    slot->let_in = now;
    member_set_ejected(slot->member, false);
    tell(slot);
}

static void count_ejection(struct slot *slot)
{
    usec_t ejected_at = atomic_load(&slot->member->ejected_at);
    usec_t eject_time = slot->prober->rules.eject_time;
    if (ejected_at > usec_add(slot->let_in, eject_time << EJECTIONS_MAX)) {
        slot->ejections = 0; /* it was quiet for long */
    }
    loop_arm(slot->prober->loop, &slot->ejection,
             usec_add(ejected_at, eject_time << slot->ejections));
    if (slot->ejections < EJECTIONS_MAX) {
        slot->ejections++;
    }
}

/* ---- What others changed ---- */

static void look_again(struct slot *slot)
{
    struct health health = member_health(slot->member);
    if (health.is_ejected && !timer_is_armed(&slot->ejection)) {
        count_ejection(slot);
    }
    if (health.wish == WISH_DISABLED) {
        atomic_store(&slot->member->wants_probe, false);
        stop_probing(slot);
    } else if (slot->seen.wish == WISH_DISABLED) {
        loop_arm(slot->prober->loop, &slot->timer, loop_now(slot->prober->loop));
    } else if (!is_being_probed(slot) && atomic_load(&slot->member->wants_probe)) {
        plan(slot);
    }
}

void prober_changed(struct prober *prober)
{
    CHECK(!prober->is_telling);
    for (size_t i = 0; i < prober->count; i++) {
        look_again(prober->slots[i]);
    }
    take_places(prober);
    for (size_t i = 0; i < prober->count; i++) {
        tell(prober->slots[i]);
    }
}

bool prober_knows_all(const struct prober *prober)
{
    for (size_t i = 0; i < prober->count; i++) {
        const struct slot *slot = prober->slots[i];
        if (!slot->is_known && member_health(slot->member).wish != WISH_DISABLED) {
            return false;
        }
    }
    return true;
}

/* ---- Slots ---- */

static struct slot *slot_new(struct prober *prober, struct member *member)
{
    struct slot *slot = calloc(1, sizeof *slot);
    if (slot != NULL) {
        slot->prober = prober;
        slot->member = member_ref(member);
        slot->seen = member_health(member);
        slot->begun = slot->let_in = -USEC_PER_DAY;
        timer_init(&slot->timer, probe_is_due);
        timer_init(&slot->ejection, ejection_is_over);
    }
    return slot;
}

static void slot_free(struct slot *slot)
{
    if (slot != NULL) {
        stop_probing(slot);
        loop_disarm(slot->prober->loop, &slot->ejection);
        member_unref(slot->member);
        free(slot);
    }
}

static void free_slots(struct slot **slots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        slot_free(slots[i]);
    }
    free(slots);
}

/* Of the member, among `count` slots, taken out of there; NULL: none. *from as in range.c. */
static struct slot *take_slot(struct slot **slots, size_t count, const struct member *member,
                              size_t *from)
{
    for (size_t i = 0; i < count; i++) {
        size_t index = (*from + i) % count;
        struct slot *slot = slots[index];
        if (slot != NULL && slot->member == member) {
            *from = index + 1;
            slots[index] = NULL;
            return slot;
        }
    }
    return NULL;
}

/* New ones are looked at soon, but not all in one moment. */
static void begin_probing(struct prober *prober)
{
    usec_t now = loop_now(prober->loop);
    usec_t step = prober->count == 0 ? 0 : ABSENT_INTERVAL / (usec_t)prober->count;
    for (size_t i = 0; i < prober->count; i++) {
        struct slot *slot = prober->slots[i];
        bool is_new = slot->begun < 0 && !is_waiting(slot);
        if (is_new && member_health(slot->member).wish != WISH_DISABLED) {
            loop_arm(prober->loop, &slot->timer, now + (usec_t)i * smaller(step, USEC_PER_MSEC));
        }
        /* Of a member that comes from another prober's hands, or of before. */
        look_again(slot);
    }
}

/* New slots for all members, before anything else is touched. */
static struct slot **make_slots(struct prober *prober, const struct range *range, size_t count)
{
    struct slot **slots = calloc(count + 1, sizeof(struct slot *));
    if (slots == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        slots[i] = slot_new(prober, range_at(range, i));
        if (slots[i] == NULL) {
            free_slots(slots, i);
            return NULL;
        }
    }
    return slots;
}

int prober_set_range(struct prober *prober, const struct range *range)
{
    CHECK(!prober->is_telling);
    size_t count = range_count(range);
    struct slot **slots = make_slots(prober, range, count);
    if (slots == NULL) {
        return -ENOMEM;
    }
    size_t from = 0;
    for (size_t i = 0; i < count; i++) {
        struct slot *kept = take_slot(prober->slots, prober->count, slots[i]->member, &from);
        if (kept != NULL) {
            slot_free(slots[i]);
            slots[i] = kept;
        }
    }
    free_slots(prober->slots, prober->count);
    prober->slots = slots;
    prober->count = count;
    begin_probing(prober);
    take_places(prober);
    return 0;
}

/* ---- Life ---- */

struct prober *prober_new(struct loop *loop, const struct prober_rules *rules, uint64_t seed,
                          prober_function *changed, void *context)
{
    struct prober *prober = calloc(1, sizeof *prober);
    if (prober != NULL) {
        prober->loop = loop;
        prober->rules = *rules;
        prober->random = seed | 1U; /* 0 would stay 0 */
        prober->changed = changed;
        prober->context = context;
        slot_list_init(&prober->waiting);
    }
    return prober;
}

void prober_free(struct prober *prober)
{
    if (prober != NULL) {
        free_slots(prober->slots, prober->count);
        free(prober);
    }
}

void prober_set_rules(struct prober *prober, const struct prober_rules *rules)
{
    prober->rules = *rules;
}
