/* SPDX-License-Identifier: Apache-2.0 */
/* A table in memory that processes share: values of up to a fixed size that begin with the 32 bytes
 * they are found by. Each key may be in two sets of eight slots, and comes into the one with more
 * room: so nearly all of the table fills before anything is lost, where with one set for each key
 * a third would lose things long before. Full sets lose what was not asked for lately.
 *
 * Readers take no lock. A writer locks one slot by making its word odd; a reader copies the slot
 * and checks a sum over word, place and content that is keyed with a secret of the file. The sum is
 * what makes a killed, a stopped and a resumed writer harmless: whatever they leave behind adds up
 * to nothing. So the lock need not be safe, only rarely broken: it lapses by itself after
 * SLOT_STALE_MSEC.
 *
 * All of the shared memory is read and written as atomic words, and nothing in it is believed:
 * random bytes there are a table in which nothing is found. Part of session_cache.c. Any thread. */
#ifndef PORTICO_FRONTEND_SLOT_TABLE_H
#define PORTICO_FRONTEND_SLOT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SLOT_WAYS = 8,
    SLOT_CHOICES = 2, /* sets for each key */
    SLOT_KEY_WORDS = 4,
    SLOT_WORDS_MAX = 288,                   /* longest value */
    SLOT_SECRET_WORDS = SLOT_WORDS_MAX + 8, /* what slot_secret_expand() makes */
    SLOT_STALE_MSEC = 200, /* who writes for longer is dead, or stopped and will notice */
};

struct slot_secret {
    uint64_t words[SLOT_SECRET_WORDS];
};

/* The same secret for all who have the same seed. */
void slot_secret_expand(struct slot_secret *secret, const uint64_t seed[2]);

/* Plain; lives in the process, names what is shared. */
struct slot_table {
    unsigned char *memory; /* borrowed; aligned to 64; zeroed is empty */
    size_t sets;
    size_t words;                     /* longest value, even it at most SLOT_WORDS_MAX */
    const struct slot_secret *secret; /* borrowed */
};

/* Of one set of values of up to `words`. */
size_t slot_set_bytes(size_t words);

/* The value into `value`, which has room for table->words; how many words it has, 0: not found,
 * and then `value` may hold anything. */
size_t slot_table_find(const struct slot_table *table, const uint64_t *key, uint64_t *value);

/* `value` begins with its key; `words` is SLOT_KEY_WORDS to table->words. Replaces what has the
 * same key; when two do it at once, both may stay for a while, one in each set. False: all slots of
 * its sets are being written. */
bool slot_table_put(const struct slot_table *table, const uint64_t *value, size_t words);

void slot_table_drop(const struct slot_table *table, const uint64_t *key);

struct slot_table_usage {
    size_t slots;
    size_t used;
    size_t locked;
};

/* O(slots). */
void slot_table_read_usage(const struct slot_table *table, struct slot_table_usage *usage);

#endif
