/* SPDX-License-Identifier: Apache-2.0 */
/* Three tables in one file: sessions, and sealings in two sizes. See session_cache.h. */
#include "session_cache.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "session_file.h"
#include "slot_table.h"

/* How a sealing is kept: without what its arrays do not use, what it is found by in front. */
struct packed_sealing {
    uint8_t peer[RSA_FINGERPRINT_BYTES];
    usec_t made;
    uint8_t key[WIRE_KEY_BYTES];
    uint8_t hmac_key[WIRE_KEY_BYTES];
    uint16_t cipher_len;
    uint16_t metadata_len;
    uint8_t unused[4];
    uint8_t bytes[RSA_BYTES_MAX + SEALING_METADATA_BYTES]; /* cipher, metadata */
};

enum {
    WORD = sizeof(uint64_t),
    SESSION_WORDS = sizeof(struct session) / WORD,
    /* Enough for an agent's key of 2048 bits (what agents make) and a server's of up to 3072. */
    SMALL_SEALING_BYTES = 672,
    SMALL_SEALING_WORDS = (offsetof(struct packed_sealing, bytes) + SMALL_SEALING_BYTES) / WORD,
    LARGE_SEALING_WORDS = sizeof(struct packed_sealing) / WORD,
};

static_assert(sizeof(struct session) % WORD == 0, "a session is whole words");
static_assert(offsetof(struct session, digest) == 0, "a session begins with its key");
static_assert(sizeof(struct packed_sealing) % WORD == 0, "a sealing is whole words");
static_assert(offsetof(struct packed_sealing, bytes) == 80, "without padding, which is not wiped");
static_assert(sizeof(struct packed_sealing) <= SLOT_WORDS_MAX * WORD, "it fits a slot");

enum table { SESSIONS, SMALL_SEALINGS, LARGE_SEALINGS, TABLE_COUNT };

static const size_t table_words[TABLE_COUNT] = {SESSION_WORDS, SMALL_SEALING_WORDS,
                                                LARGE_SEALING_WORDS};

struct session_cache {
    atomic_uint references;
    struct session_file file;
    struct slot_secret secret;
    struct slot_table tables[TABLE_COUNT];
};

/* ---- life ---- */

static size_t sets_of(size_t bytes, enum table table)
{
    return bytes / slot_set_bytes(table_words[table]);
}

/* An eighth for the few large sealings, at least one set of them; of the rest as many small
 * sealings as sessions, for an agent needs one of each. */
static void divide(size_t bytes, size_t sets[TABLE_COUNT])
{
    size_t session_set = slot_set_bytes(SESSION_WORDS);
    size_t pair = session_set + slot_set_bytes(SMALL_SEALING_WORDS);
    size_t large = slot_set_bytes(LARGE_SEALING_WORDS);
    size_t rest = bytes - SESSION_FILE_HEAD_BYTES;
    sets[LARGE_SEALINGS] = rest / 8 < large ? 1 : sets_of(rest / 8, LARGE_SEALINGS);
    rest -= sets[LARGE_SEALINGS] * large;
    sets[SESSIONS] = rest / pair;
    sets[SMALL_SEALINGS] = rest / pair;
}

static void place_tables(struct session_cache *cache, const size_t sets[TABLE_COUNT])
{
    unsigned char *memory = cache->file.memory + SESSION_FILE_HEAD_BYTES;
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        cache->tables[i] = (struct slot_table){memory, sets[i], table_words[i], &cache->secret};
        memory += sets[i] * slot_set_bytes(table_words[i]);
    }
}

static size_t file_bytes(const size_t sets[TABLE_COUNT])
{
    size_t bytes = SESSION_FILE_HEAD_BYTES;
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        bytes += sets[i] * slot_set_bytes(table_words[i]);
    }
    return bytes;
}

/* Anything that changes with the division above; two of the same size may differ in nothing else.
 */
static uint64_t shape_of(const size_t sets[TABLE_COUNT])
{
    uint64_t shape = SLOT_WAYS * SLOT_CHOICES;
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        shape = (shape * 0x1000193 + sets[i]) * 0x1000193 + table_words[i];
    }
    return shape;
}

int session_cache_open(const char *path, size_t bytes, const uint8_t *identity,
                       struct session_cache **out, struct error *error)
{
    size_t sets[TABLE_COUNT];
    if (bytes < SESSION_CACHE_BYTES_MIN || bytes > INT64_MAX) {
        return error_set(error, -EINVAL, "session cache: %zu bytes are too few or too many", bytes);
    }
    struct session_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL) {
        return error_set(error, -ENOMEM, "no memory for a session cache");
    }
    divide(bytes, sets);
    int r =
        session_file_open(path, file_bytes(sets), identity, shape_of(sets), &cache->file, error);
    if (r < 0) {
        free(cache);
        return r;
    }
    cache->references = 1;
    slot_secret_expand(&cache->secret, cache->file.seed);
    place_tables(cache, sets);
    *out = cache;
    return 0;
}

struct session_cache *session_cache_ref(struct session_cache *cache)
{
    atomic_fetch_add_explicit(&cache->references, 1, memory_order_relaxed);
    return cache;
}

void session_cache_close(struct session_cache *cache)
{
    if (cache != NULL && atomic_fetch_sub(&cache->references, 1) == 1) {
        session_file_close(&cache->file);
        explicit_bzero(cache, sizeof *cache);
        free(cache);
    }
}

/* ---- sessions ---- */

/* Keys come as bytes, of no alignment. */
struct slot_key {
    uint64_t words[SLOT_KEY_WORDS];
};

static struct slot_key key_of(const uint8_t *bytes)
{
    struct slot_key key;
    memcpy(key.words, bytes, sizeof key.words);
    return key;
}

/* The sum vouches for what was put, not for who put it: nothing may go wrong with any content. */
static bool session_is_sane(const struct session *session)
{
    return memchr(session->source, '\0', sizeof session->source) != NULL;
}

bool session_cache_find(struct session_cache *cache, const uint8_t *digest, struct session *session)
{
    uint64_t words[SESSION_WORDS];
    struct session found;
    if (cache == NULL) {
        return false;
    }
    struct slot_key key = key_of(digest);
    bool is_found = slot_table_find(&cache->tables[SESSIONS], key.words, words) == SESSION_WORDS;
    if (is_found) {
        memcpy(&found, words, sizeof found);
        is_found = session_is_sane(&found);
    }
    if (is_found) {
        *session = found;
    }
    explicit_bzero(words, sizeof words);
    explicit_bzero(&found, sizeof found);
    return is_found;
}

bool session_cache_put(struct session_cache *cache, const struct session *session)
{
    uint64_t words[SESSION_WORDS];
    if (cache == NULL) {
        return false;
    }
    memcpy(words, session, sizeof words);
    bool is_kept = slot_table_put(&cache->tables[SESSIONS], words, SESSION_WORDS);
    explicit_bzero(words, sizeof words);
    return is_kept;
}

void session_cache_drop(struct session_cache *cache, const uint8_t *digest)
{
    if (cache != NULL) {
        slot_table_drop(&cache->tables[SESSIONS], key_of(digest).words);
    }
}

/* ---- sealings ---- */

union sealing_words {
    uint64_t words[LARGE_SEALING_WORDS];
    struct packed_sealing packed;
};

static size_t words_for(size_t cipher_len, size_t metadata_len)
{
    size_t bytes = offsetof(struct packed_sealing, bytes) + cipher_len + metadata_len;
    return (bytes + WORD - 1) / WORD;
}

static bool lengths_are_sane(size_t cipher_len, size_t metadata_len)
{
    return cipher_len <= RSA_BYTES_MAX && metadata_len <= SEALING_METADATA_BYTES;
}

/* How many words it takes. */
static size_t pack_sealing(const struct sealing *sealing, union sealing_words *out)
{
    struct packed_sealing *packed = &out->packed;
    size_t words = words_for(sealing->cipher_len, sealing->metadata_len);
    out->words[words - 1] = 0; /* its last bytes may be no part of the sealing */
    memcpy(packed->peer, sealing->peer, sizeof packed->peer);
    packed->made = sealing->made;
    memcpy(packed->key, sealing->key, sizeof packed->key);
    memcpy(packed->hmac_key, sealing->hmac_key, sizeof packed->hmac_key);
    packed->cipher_len = sealing->cipher_len;
    packed->metadata_len = sealing->metadata_len;
    memset(packed->unused, 0, sizeof packed->unused);
    memcpy(packed->bytes, sealing->cipher, sealing->cipher_len);
    memcpy(packed->bytes + sealing->cipher_len, sealing->metadata, sealing->metadata_len);
    return words;
}

static void unpack_sealing(const struct packed_sealing *packed, struct sealing *sealing)
{
    sealing->made = packed->made;
    memcpy(sealing->key, packed->key, sizeof sealing->key);
    memcpy(sealing->hmac_key, packed->hmac_key, sizeof sealing->hmac_key);
    memcpy(sealing->peer, packed->peer, sizeof sealing->peer);
    sealing->cipher_len = packed->cipher_len;
    sealing->metadata_len = packed->metadata_len;
    memset(sealing->unused, 0, sizeof sealing->unused);
    memcpy(sealing->cipher, packed->bytes, packed->cipher_len);
    memcpy(sealing->metadata, packed->bytes + packed->cipher_len, packed->metadata_len);
}

static bool packed_is_usable(const struct packed_sealing *packed, size_t words, usec_t now)
{
    return words >= offsetof(struct packed_sealing, bytes) / WORD &&
           lengths_are_sane(packed->cipher_len, packed->metadata_len) &&
           words == words_for(packed->cipher_len, packed->metadata_len) && packed->made >= 0 &&
           packed->made <= now && now - packed->made < SEALING_LIFETIME;
}

bool sealing_cache_find(struct session_cache *cache, const uint8_t *fingerprint, usec_t now,
                        struct sealing *sealing)
{
    union sealing_words found;
    if (cache == NULL) {
        return false;
    }
    struct slot_key key = key_of(fingerprint);
    size_t words = slot_table_find(&cache->tables[SMALL_SEALINGS], key.words, found.words);
    if (words == 0) {
        words = slot_table_find(&cache->tables[LARGE_SEALINGS], key.words, found.words);
    }
    bool is_usable = words > 0 && packed_is_usable(&found.packed, words, now);
    if (is_usable) {
        unpack_sealing(&found.packed, sealing);
    }
    explicit_bzero(found.words, words * WORD);
    return is_usable;
}

bool sealing_cache_put(struct session_cache *cache, const struct sealing *sealing)
{
    union sealing_words packed;
    if (cache == NULL || !lengths_are_sane(sealing->cipher_len, sealing->metadata_len)) {
        return false;
    }
    size_t words = pack_sealing(sealing, &packed);
    /* The sizes follow from both sides' keys, which the fingerprint and the file's identity stand
     * for: one agent's sealings never differ in them. */
    enum table table = words <= SMALL_SEALING_WORDS ? SMALL_SEALINGS : LARGE_SEALINGS;
    bool is_kept = slot_table_put(&cache->tables[table], packed.words, words);
    explicit_bzero(packed.words, words * WORD);
    return is_kept;
}

void sealing_cache_drop(struct session_cache *cache, const uint8_t *fingerprint)
{
    if (cache != NULL) {
        struct slot_key key = key_of(fingerprint);
        slot_table_drop(&cache->tables[SMALL_SEALINGS], key.words);
        slot_table_drop(&cache->tables[LARGE_SEALINGS], key.words);
    }
}

/* ---- statistics ---- */

static struct slot_table_usage usage_of(const struct session_cache *cache, enum table table)
{
    struct slot_table_usage usage;
    slot_table_read_usage(&cache->tables[table], &usage);
    return usage;
}

void session_cache_read_statistics(struct session_cache *cache,
                                   struct session_cache_statistics *statistics)
{
    *statistics = (struct session_cache_statistics){0};
    if (cache == NULL) {
        return;
    }
    struct slot_table_usage sessions = usage_of(cache, SESSIONS);
    struct slot_table_usage small = usage_of(cache, SMALL_SEALINGS);
    struct slot_table_usage large = usage_of(cache, LARGE_SEALINGS);
    *statistics = (struct session_cache_statistics){
        .sessions = {sessions.slots, sessions.used},
        .sealings = {small.slots + large.slots, small.used + large.used},
        .locked = sessions.locked + small.locked + large.locked,
        .bytes = cache->file.bytes,
        .is_fresh = cache->file.is_fresh,
    };
}
