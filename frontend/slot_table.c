/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of eight slots, each slot under a sequence word of its own. See slot_table.h.
 *
 * No fences: values are read with acquire and written with release, which costs nothing on x86,
 * little elsewhere, and is what ThreadSanitizer understands. The order only spares false alarms:
 * what a copy is worth, its sum says. */
#include "slot_table.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/check.h"

static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
              "atomics with hidden locks do not work between processes");

typedef _Atomic(uint64_t) shared_word;

struct set_head {
    _Atomic(uint32_t) tags[SLOT_WAYS]; /* hints, 0: free */
    _Atomic(uint32_t) recent;          /* one bit for each way: found since the hand came by */
    _Atomic(uint32_t) hand;
};

struct slot {
    /* From the top: 32 bits that count, 31 bits of milliseconds when it was last locked, 1 bit: it
     * is locked. */
    shared_word word;
    shared_word sum;
    shared_word length;
    shared_word value[];
};

enum {
    LINE = 64,
    SPINS = 200,       /* looks at a locked slot: a writer needs less than a microsecond */
    READ_ATTEMPTS = 4, /* at a slot that changes meanwhile */
    /* Where the secret's words for other things than values begin. */
    SECRET_PLACE = SLOT_WORDS_MAX,
    SECRET_WORD,
    SECRET_LENGTH,
    SECRET_FACTOR,
    SECRET_HASH, /* four */
};

#define LOCKED UINT64_C(1)
#define MSEC_MASK UINT64_C(0x7fffffff)
#define COUNT_ONE (UINT64_C(1) << 32)

/* ---- sums ---- */

/* A step of splitmix64: any seed gives words that look random. */
static uint64_t next_word(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void slot_secret_expand(struct slot_secret *secret, const uint64_t seed[2])
{
    uint64_t low = seed[0];
    uint64_t high = seed[1];
    for (size_t i = 0; i < SLOT_SECRET_WORDS; i++) {
        secret->words[i] = next_word(&low) ^ next_word(&high);
    }
}

static unsigned __int128 product(uint64_t a, uint64_t b)
{
    return (unsigned __int128)a * b;
}

static uint64_t fold(unsigned __int128 wide)
{
    return (uint64_t)wide ^ (uint64_t)(wide >> 64);
}

/* Sum of products of keyed pairs: for two given contents it is equal with a chance of about 2^-63,
 * over secrets. That is against accidents; it is no signature. */
static uint64_t sum_slot(const struct slot_table *table, uint64_t place, uint64_t word,
                         const uint64_t *value, size_t words)
{
    const uint64_t *secret = table->secret->words;
    unsigned __int128 sum = product(place + secret[SECRET_PLACE], word + secret[SECRET_WORD]);
    sum += product(words + secret[SECRET_LENGTH], secret[SECRET_FACTOR]);
    for (size_t i = 0; i + 1 < words; i += 2) {
        sum += product(value[i] + secret[i], value[i + 1] + secret[i + 1]);
    }
    if (words % 2 != 0) {
        sum += product(value[words - 1] + secret[words - 1], secret[SECRET_FACTOR]);
    }
    return fold(sum);
}

/* ---- places ---- */

struct locus {
    struct set_head *head;
    size_t set;
    uint32_t tag; /* never 0 */
};

static size_t slot_bytes(size_t words)
{
    return sizeof(struct slot) + words * sizeof(shared_word);
}

size_t slot_set_bytes(size_t words)
{
    return (LINE + SLOT_WAYS * slot_bytes(words) + LINE - 1) / LINE * LINE;
}

static struct set_head *set_at(const struct slot_table *table, size_t set)
{
    return (struct set_head *)(void *)(table->memory + set * slot_set_bytes(table->words));
}

static struct slot *slot_at(const struct slot_table *table, struct set_head *head, size_t way)
{
    return (struct slot *)(void *)((unsigned char *)head + LINE + way * slot_bytes(table->words));
}

static struct locus locus_of(const struct slot_table *table, uint64_t hash, uint32_t tag)
{
    size_t set = (size_t)(product(hash, table->sets) >> 64);
    return (struct locus){set_at(table, set), set, tag == 0 ? 1 : tag};
}

/* Keyed, so that an agent cannot choose ciphers that push out another agent's. How many loci the
 * key has: one when both are the same set. */
static size_t locate(const struct slot_table *table, const uint64_t *key,
                     struct locus loci[SLOT_CHOICES])
{
    const uint64_t *secret = table->secret->words + SECRET_HASH;
    uint64_t hash = fold(product(key[0] + secret[0], key[1] + secret[1]) +
                         product(key[2] + secret[2], key[3] + secret[3]));
    uint64_t other = fold(product(hash ^ table->secret->words[SECRET_LENGTH],
                                  table->secret->words[SECRET_FACTOR] | 1));
    loci[0] = locus_of(table, hash, (uint32_t)hash);
    loci[1] = locus_of(table, other, (uint32_t)hash);
    return loci[0].set == loci[1].set ? 1 : SLOT_CHOICES;
}

static uint64_t place_of(const struct locus *locus, size_t way)
{
    return locus->set * SLOT_WAYS + way;
}

static uint32_t tag_of(struct set_head *head, size_t way)
{
    return atomic_load_explicit(&head->tags[way], memory_order_relaxed);
}

/* ---- reading ---- */

static void pause_shortly(void)
{
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

/* The word, unlocked if waiting a moment helps. */
static uint64_t await_word(struct slot *slot)
{
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
    for (unsigned i = 0; (word & LOCKED) != 0 && i < SPINS; i++) {
        pause_shortly();
        word = atomic_load_explicit(&slot->word, memory_order_acquire);
    }
    return word;
}

static bool has_key(struct slot *slot, const uint64_t *key)
{
    uint64_t difference = 0;
    for (size_t i = 0; i < SLOT_KEY_WORDS; i++) {
        difference |= atomic_load_explicit(&slot->value[i], memory_order_acquire) ^ key[i];
    }
    return difference == 0;
}

/* One consistent copy of the slot, if it holds the key: its length, else 0. */
static size_t read_slot(const struct slot_table *table, const struct locus *locus, size_t way,
                        const uint64_t *key, uint64_t *value)
{
    struct slot *slot = slot_at(table, locus->head, way);
    for (unsigned attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        uint64_t word = await_word(slot);
        if ((word & LOCKED) != 0) {
            return 0;
        }
        uint64_t sum = atomic_load_explicit(&slot->sum, memory_order_acquire);
        uint64_t words = atomic_load_explicit(&slot->length, memory_order_acquire);
        if (words >= SLOT_KEY_WORDS && words <= table->words) {
            for (size_t i = 0; i < words; i++) {
                value[i] = atomic_load_explicit(&slot->value[i], memory_order_acquire);
            }
            if (sum == sum_slot(table, place_of(locus, way), word, value, words)) {
                return memcmp(value, key, SLOT_KEY_WORDS * sizeof *key) == 0 ? words : 0;
            }
        }
        /* Damaged for good, unless somebody was just writing. */
        if (atomic_load_explicit(&slot->word, memory_order_relaxed) == word) {
            return 0;
        }
    }
    return 0;
}

static void note_use(struct set_head *head, size_t way)
{
    uint32_t bit = UINT32_C(1) << way;
    /* A bit that is set already is not written: readers shall not fight over the line. */
    if ((atomic_load_explicit(&head->recent, memory_order_relaxed) & bit) == 0) {
        atomic_fetch_or_explicit(&head->recent, bit, memory_order_relaxed);
    }
}

static size_t find_in_set(const struct slot_table *table, const struct locus *locus,
                          const uint64_t *key, uint64_t *value)
{
    for (size_t way = 0; way < SLOT_WAYS; way++) {
        if (tag_of(locus->head, way) == locus->tag) {
            size_t words = read_slot(table, locus, way, key, value);
            if (words > 0) {
                note_use(locus->head, way);
                return words;
            }
        }
    }
    return 0;
}

size_t slot_table_find(const struct slot_table *table, const uint64_t *key, uint64_t *value)
{
    struct locus loci[SLOT_CHOICES];
    size_t count = locate(table, key, loci);
    size_t words = 0;
    for (size_t i = 0; i < count && words == 0; i++) {
        words = find_in_set(table, &loci[i], key, value);
    }
    return words;
}

/* ---- writing ---- */

/* Milliseconds on a clock that all processes share. It begins anew with the machine, which the file
 * may survive. */
static uint64_t now_msec(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000) & MSEC_MASK;
}

/* Whether somebody is at it. A time to come is from before the machine's restart, or damage. */
static bool is_busy(uint64_t word, uint64_t now)
{
    return (word & LOCKED) != 0 && ((now - (word >> 1)) & MSEC_MASK) < SLOT_STALE_MSEC;
}

/* The word that unlocks it, 0 when it is busy. Counting makes every word of a slot another one; the
 * count alone would come round, the time alone stands still for a millisecond. */
static uint64_t lock_slot(struct slot *slot)
{
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    uint64_t now = now_msec();
    if (is_busy(word, now)) {
        return 0;
    }
    uint64_t next = ((word & ~(COUNT_ONE - 1)) + COUNT_ONE) | now << 1;
    next = next == 0 ? COUNT_ONE : next;
    return atomic_compare_exchange_strong_explicit(&slot->word, &word, next | LOCKED,
                                                   memory_order_acq_rel, memory_order_relaxed)
               ? next
               : 0;
}

/* Who was so slow that somebody else took the lock over has spoilt what that one wrote, if only by
 * now: it does not add up and will be written again. */
static bool unlock_slot(struct slot *slot, uint64_t word)
{
    uint64_t locked = word | LOCKED;
    return atomic_compare_exchange_strong_explicit(&slot->word, &locked, word, memory_order_release,
                                                   memory_order_relaxed);
}

static void write_value(struct slot *slot, const uint64_t *value, size_t words, uint64_t sum)
{
    atomic_store_explicit(&slot->sum, sum, memory_order_release);
    atomic_store_explicit(&slot->length, words, memory_order_release);
    for (size_t i = 0; i < words; i++) {
        atomic_store_explicit(&slot->value[i], value[i], memory_order_release);
    }
}

/* Where a put may go: a set of its key, and the ways of it that are left to try, as bits. */
struct choice {
    struct locus locus;
    unsigned ways;
};

static size_t way_of_key(const struct slot_table *table, const struct choice *choice,
                         const uint64_t *key)
{
    const struct locus *locus = &choice->locus;
    for (size_t way = 0; way < SLOT_WAYS; way++) {
        if ((choice->ways & 1U << way) != 0 && tag_of(locus->head, way) == locus->tag &&
            has_key(slot_at(table, locus->head, way), key)) {
            return way;
        }
    }
    return SLOT_WAYS;
}

/* Ways that nothing is in, or whose writer died. */
static unsigned free_ways(const struct slot_table *table, const struct choice *choice)
{
    struct set_head *head = choice->locus.head;
    uint64_t now = now_msec();
    unsigned ways = 0;
    for (size_t way = 0; way < SLOT_WAYS; way++) {
        uint64_t word =
            atomic_load_explicit(&slot_at(table, head, way)->word, memory_order_relaxed);
        bool is_abandoned = (word & LOCKED) != 0 && !is_busy(word, now);
        ways |= (unsigned)(tag_of(head, way) == 0 || is_abandoned) << way;
    }
    return ways & choice->ways;
}

static unsigned idle_ways(const struct choice *choice)
{
    return ~atomic_load_explicit(&choice->locus.head->recent, memory_order_relaxed) & choice->ways;
}

static size_t way_to_evict(const struct choice *choice)
{
    struct set_head *head = choice->locus.head;
    for (unsigned step = 0; step < 2 * SLOT_WAYS; step++) {
        uint32_t way = atomic_fetch_add_explicit(&head->hand, 1, memory_order_relaxed) % SLOT_WAYS;
        uint32_t bit = UINT32_C(1) << way;
        bool was_used =
            (atomic_fetch_and_explicit(&head->recent, ~bit, memory_order_relaxed) & bit) != 0;
        if ((choice->ways & bit) != 0 && !was_used) {
            return way;
        }
    }
    /* All are in use all the time: any. */
    return (size_t)__builtin_ctz(choice->ways);
}

/* Which of the choices has most of these ways; when none has any: their count. */
static size_t most_of(const unsigned *ways, size_t count)
{
    size_t best = count;
    for (size_t i = 0; i < count; i++) {
        if (ways[i] != 0 &&
            (best == count || __builtin_popcount(ways[i]) > __builtin_popcount(ways[best]))) {
            best = i;
        }
    }
    return best;
}

/* The way of *choice to write to: where the key is, else the set with more room, else the one with
 * more that nobody asks for. At least one choice has ways left. */
static size_t choose(const struct slot_table *table, struct choice *choices, size_t count,
                     const uint64_t *key, struct choice **choice)
{
    unsigned ways[SLOT_CHOICES];
    for (size_t i = 0; i < count; i++) {
        size_t way = way_of_key(table, &choices[i], key);
        if (way < SLOT_WAYS) {
            *choice = &choices[i];
            return way;
        }
        ways[i] = free_ways(table, &choices[i]);
    }
    size_t best = most_of(ways, count);
    if (best < count) {
        *choice = &choices[best];
        return (size_t)__builtin_ctz(ways[best]);
    }
    for (size_t i = 0; i < count; i++) {
        ways[i] = idle_ways(&choices[i]);
    }
    best = most_of(ways, count);
    if (best == count) {
        best = choices[0].ways != 0 ? 0 : 1;
    }
    *choice = &choices[best];
    return way_to_evict(*choice);
}

static bool write_way(const struct slot_table *table, const struct locus *locus, size_t way,
                      uint64_t word, const uint64_t *value, size_t words)
{
    struct slot *slot = slot_at(table, locus->head, way);
    /* Under the lock, so that it fits what is there unless its writer dies. */
    atomic_store_explicit(&locus->head->tags[way], locus->tag, memory_order_relaxed);
    write_value(slot, value, words, sum_slot(table, place_of(locus, way), word, value, words));
    return unlock_slot(slot, word);
}

bool slot_table_put(const struct slot_table *table, const uint64_t *value, size_t words)
{
    CHECK(words >= SLOT_KEY_WORDS && words <= table->words);
    struct locus loci[SLOT_CHOICES];
    struct choice choices[SLOT_CHOICES];
    size_t count = locate(table, value, loci);
    unsigned left = 0;
    for (size_t i = 0; i < count; i++) {
        choices[i] = (struct choice){loci[i], (1U << SLOT_WAYS) - 1};
        left += SLOT_WAYS;
    }
    for (; left > 0; left--) {
        struct choice *choice;
        size_t way = choose(table, choices, count, value, &choice);
        uint64_t word = lock_slot(slot_at(table, choice->locus.head, way));
        if (word != 0) {
            return write_way(table, &choice->locus, way, word, value, words);
        }
        choice->ways &= ~(1U << way);
    }
    return false;
}

/* The lock, waiting a moment for it. */
static uint64_t await_lock(struct slot *slot)
{
    uint64_t word = lock_slot(slot);
    for (unsigned i = 0; word == 0 && i < SPINS; i++) {
        pause_shortly();
        word = lock_slot(slot);
    }
    return word;
}

static void erase_slot(const struct slot_table *table, const struct locus *locus, size_t way)
{
    static const uint64_t nothing[SLOT_WORDS_MAX];
    struct slot *slot = slot_at(table, locus->head, way);
    uint64_t word = await_lock(slot);
    if (word != 0) {
        atomic_store_explicit(&locus->head->tags[way], 0, memory_order_relaxed);
        /* Of no length: its sum is of no interest. */
        write_value(slot, nothing, table->words, 0);
        atomic_store_explicit(&slot->length, 0, memory_order_release);
        (void)unlock_slot(slot, word);
    }
}

void slot_table_drop(const struct slot_table *table, const uint64_t *key)
{
    struct locus loci[SLOT_CHOICES];
    size_t count = locate(table, key, loci);
    for (size_t i = 0; i < count; i++) {
        for (size_t way = 0; way < SLOT_WAYS; way++) {
            struct slot *slot = slot_at(table, loci[i].head, way);
            /* Another key may come in before the lock is ours; that one is lost, which a cache
             * may. */
            if (tag_of(loci[i].head, way) == loci[i].tag && has_key(slot, key)) {
                erase_slot(table, &loci[i], way);
            }
        }
    }
}

void slot_table_read_usage(const struct slot_table *table, struct slot_table_usage *usage)
{
    *usage = (struct slot_table_usage){.slots = table->sets * SLOT_WAYS};
    for (size_t set = 0; set < table->sets; set++) {
        struct set_head *head = set_at(table, set);
        for (size_t way = 0; way < SLOT_WAYS; way++) {
            struct slot *slot = slot_at(table, head, way);
            usage->used += tag_of(head, way) != 0;
            usage->locked += atomic_load_explicit(&slot->word, memory_order_relaxed) & LOCKED;
        }
    }
}
