/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines on hierarchical timing wheels. One thread, its owner's.
 *
 * A slot of wheel 0 holds the timers of one tick; a slot of each further wheel is as wide as 64
 * slots of the one before. A timer waits on the finest wheel that reaches its tick and moves to a
 * finer one before its slot begins. Bitmaps name the slots that hold something, so time that
 * nothing waits for costs nothing, however long it was.
 *
 * Wheels have 128 slots, twice what their width asks for. That lets the slot that comes next on a
 * wheel move down while the present one lasts, a few timers in each run; with 64 slots all of it
 * would have to move in the instant in which it begins, and with a million timers that instant is
 * many milliseconds long. */
#include "net/timers.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"

enum {
    WHEEL_BITS = 6,
    SLOTS = 2 << WHEEL_BITS,
    WORD_BITS = 64,
    WORDS = SLOTS / WORD_BITS,
    WHEELS = 11,      /* 2^66 ticks: more than fit into usec_t */
    MOVES_AHEAD = 64, /* timers moved down early, for each wheel and run */
};

static_assert(sizeof(struct timer) <= 48, "a timer is embedded in every connection and agent");
static_assert(WHEELS * WHEEL_BITS >= 63, "every deadline has a place");

struct wheel {
    uint64_t occupied[WORDS];
    struct timer_link slots[SLOTS]; /* heads of rings */
};

struct timers {
    usec_t tick;
    uint64_t present; /* the tick up to which all timers were taken from the wheels */
    size_t count;
    unsigned used;         /* bit n: wheel n holds something */
    struct timer_link due; /* taken from the wheels, waiting to fire */
    struct wheel wheels[WHEELS];
};

static void ring_init(struct timer_link *head)
{
    head->next = head->previous = head;
}

static bool ring_is_empty(const struct timer_link *head)
{
    return head->next == head;
}

static void ring_push(struct timer_link *head, struct timer_link *link)
{
    link->next = head;
    link->previous = head->previous;
    head->previous->next = link;
    head->previous = link;
}

static void ring_remove(struct timer_link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link->next = link->previous = NULL;
}

/* All of `from` goes behind what `to` holds. */
static void ring_append(struct timer_link *to, struct timer_link *from)
{
    if (!ring_is_empty(from)) {
        from->next->previous = to->previous;
        to->previous->next = from->next;
        from->previous->next = to;
        to->previous = from->previous;
        ring_init(from);
    }
}

struct timers *timers_new(usec_t tick, usec_t now)
{
    CHECK(tick > 0 && now >= 0);
    struct timers *timers = calloc(1, sizeof *timers);
    if (timers == NULL) {
        return NULL;
    }
    timers->tick = tick;
    timers->present = (uint64_t)(now / tick);
    ring_init(&timers->due);
    for (int i = 0; i < WHEELS; i++) {
        for (int j = 0; j < SLOTS; j++) {
            ring_init(&timers->wheels[i].slots[j]);
        }
    }
    return timers;
}

void timers_free(struct timers *timers)
{
    free(timers);
}

/* The slot of wheel number `wheel` in which `tick` lies, counted from the beginning of time. */
static uint64_t slot_number(uint64_t tick, int wheel)
{
    return tick >> (wheel * WHEEL_BITS);
}

static void slot_mark(struct timers *timers, int wheel, uint64_t number)
{
    unsigned slot = number % SLOTS;
    timers->wheels[wheel].occupied[slot / WORD_BITS] |= UINT64_C(1) << slot % WORD_BITS;
    timers->used |= 1U << wheel;
}

static void slot_unmark(struct timers *timers, int wheel, unsigned slot)
{
    uint64_t *occupied = timers->wheels[wheel].occupied;
    occupied[slot / WORD_BITS] &= ~(UINT64_C(1) << slot % WORD_BITS);
    if ((occupied[0] | occupied[1]) == 0) {
        timers->used &= ~(1U << wheel);
    }
}

/* `head` just became empty: of a slot, or of the due ones, which need no bit. */
static void head_emptied(struct timers *timers, const struct timer_link *head)
{
    if (head != &timers->due) {
        size_t offset = (size_t)((const char *)head - (const char *)timers->wheels);
        size_t wheel = offset / sizeof(struct wheel);
        slot_unmark(timers, (int)wheel, (unsigned)(head - timers->wheels[wheel].slots));
    }
}

static void unlink_timer(struct timers *timers, struct timer *timer)
{
    struct timer_link *next = timer->link.next;
    ring_remove(&timer->link);
    if (ring_is_empty(next)) {
        head_emptied(timers, next);
    }
}

/* The first tick that begins at or after `time`. */
static uint64_t tick_after(const struct timers *timers, usec_t time)
{
    return time <= 0 ? 0 : (uint64_t)(time / timers->tick) + (time % timers->tick != 0);
}

static void place(struct timers *timers, struct timer *timer)
{
    uint64_t tick = tick_after(timers, timer->deadline);
    if (tick < timers->present) {
        tick = timers->present;
    }
    int wheel = 0;
    while (slot_number(tick, wheel) - slot_number(timers->present, wheel) >= SLOTS) {
        wheel++;
    }
    uint64_t number = slot_number(tick, wheel);
    ring_push(&timers->wheels[wheel].slots[number % SLOTS], &timer->link);
    slot_mark(timers, wheel, number);
}

void timers_arm(struct timers *timers, struct timer *timer, usec_t deadline)
{
    timers_disarm(timers, timer);
    if (deadline != USEC_NEVER) {
        timer->deadline = deadline;
        timers->count++;
        place(timers, timer);
    }
}

void timers_disarm(struct timers *timers, struct timer *timer)
{
    if (timer_is_armed(timer)) {
        unlink_timer(timers, timer);
        timer->deadline = USEC_NEVER;
        timers->count--;
    }
}

/* How many slots after `from` the next occupied one is, going round. The wheel is in use. */
static unsigned slots_until_occupied(const struct wheel *wheel, unsigned from)
{
    unsigned word = from / WORD_BITS;
    unsigned bit = from % WORD_BITS;
    uint64_t ahead = wheel->occupied[word] >> bit;
    if (ahead != 0) {
        return (unsigned)__builtin_ctzll(ahead);
    }
    uint64_t other = wheel->occupied[1 - word];
    if (other != 0) {
        return WORD_BITS - bit + (unsigned)__builtin_ctzll(other);
    }
    return SLOTS - bit + (unsigned)__builtin_ctzll(wheel->occupied[word]);
}

static_assert(WORDS == 2, "slots_until_occupied() and slot_unmark() know two words");

/* The first tick at which a wheel has something to do, and that wheel: the coarsest one when there
 * are several, for it may hold timers of that very tick. `used` is not 0. */
static uint64_t first_tick(const struct timers *timers, int *first_wheel)
{
    uint64_t first = UINT64_MAX;
    for (unsigned rest = timers->used; rest != 0; rest &= rest - 1) {
        int wheel = __builtin_ctz(rest);
        uint64_t number = slot_number(timers->present, wheel);
        number += slots_until_occupied(&timers->wheels[wheel], number % SLOTS);
        uint64_t tick = number << (wheel * WHEEL_BITS);
        if (tick <= first) {
            first = tick;
            *first_wheel = wheel;
        }
    }
    return first;
}

/* Put up to `max` timers of a slot where they belong now. */
static void move_down(struct timers *timers, int wheel, uint64_t number, size_t max)
{
    struct timer_link *head = &timers->wheels[wheel].slots[number % SLOTS];
    while (max-- > 0 && !ring_is_empty(head)) {
        struct timer *timer = CONTAINER_OF(head->next, struct timer, link);
        unlink_timer(timers, timer);
        place(timers, timer);
    }
}

/* The next slot of each coarse wheel, in small portions, before it is needed. */
static void move_ahead(struct timers *timers)
{
    for (unsigned rest = timers->used & ~1U; rest != 0; rest &= rest - 1) {
        int wheel = __builtin_ctz(rest);
        move_down(timers, wheel, slot_number(timers->present, wheel) + 1, MOVES_AHEAD);
    }
}

/* Take everything up to and including tick `target` from the wheels. */
static void collect(struct timers *timers, uint64_t target)
{
    while (timers->used != 0) {
        int wheel = 0;
        uint64_t tick = first_tick(timers, &wheel);
        if (tick > target) {
            break;
        }
        timers->present = tick;
        if (wheel > 0) {
            move_down(timers, wheel, slot_number(tick, wheel), SIZE_MAX);
        } else {
            ring_append(&timers->due, &timers->wheels[0].slots[tick % SLOTS]);
            slot_unmark(timers, 0, tick % SLOTS);
        }
    }
    timers->present = target;
    move_ahead(timers);
}

size_t timers_run(struct timers *timers, usec_t now, size_t max)
{
    uint64_t target = now <= 0 ? 0 : (uint64_t)(now / timers->tick);
    collect(timers, target > timers->present ? target : timers->present);
    size_t fired = 0;
    while (fired < max && !ring_is_empty(&timers->due)) {
        struct timer *timer = CONTAINER_OF(timers->due.next, struct timer, link);
        timers_disarm(timers, timer);
        timer->fire(timer, now);
        fired++;
    }
    return fired;
}

usec_t timers_next(const struct timers *timers)
{
    if (!ring_is_empty(&timers->due)) {
        return 0;
    }
    if (timers->used == 0) {
        return USEC_NEVER;
    }
    int wheel = 0;
    uint64_t tick = first_tick(timers, &wheel);
    usec_t time;
    return __builtin_mul_overflow(tick, timers->tick, &time) ? USEC_NEVER - 1 : time;
}

size_t timers_count(const struct timers *timers)
{
    return timers->count;
}
