/* SPDX-License-Identifier: Apache-2.0 */
/* What RSA was paid for once, shared by all instances of a machine and kept over their restarts: a
 * mapped file of agents' sessions, found by the digest of their encrypted_cipher, and of the
 * server's sealings, found by the fingerprint of the agent's key.
 *
 * Any thread of any process of the service user; nobody ever waits for a lock. A process may be
 * killed at any instruction: what it was writing is lost, nothing else is, and what is damaged is
 * not found rather than found wrong. What is found is authentic as far as the file is: whoever may
 * write the file (0600) may forge sessions, and may crash its users by cutting it short.
 *
 * A cache may be NULL, for an instance that has to do without: nothing is found, nothing kept. */
#ifndef PORTICO_FRONTEND_SESSION_CACHE_H
#define PORTICO_FRONTEND_SESSION_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "wire/session.h"

struct error;
struct session_cache;

enum { SESSION_CACHE_BYTES_MIN = 64 * 1024 };

/* Map the cache at `path`, making it when there is none or when the one there is of another size,
 * version or `identity` (RSA_FINGERPRINT_BYTES of the server's key), is damaged at its head, or was
 * readable by others. Instances that start at once get the same file; those that run on with a file
 * that was replaced share theirs with nobody new. All of `bytes` (at least SESSION_CACHE_BYTES_MIN;
 * rounded down to whole sets) is taken from the file system at once, for no page may be missing
 * later.
 *
 * 0; -EPERM: the file belongs to somebody else; -EINVAL: too few bytes, or no plain file (a
 * symbolic link, say); -EBUSY: another instance holds the directory for too long; -ENOSPC, -ENOMEM,
 * or another errno. *cache is to be closed. */
MUST_CHECK int session_cache_open(const char *path, size_t bytes, const uint8_t *identity,
                                  struct session_cache **cache, struct error *error);

/* Another reference, to be closed as well. */
struct session_cache *session_cache_ref(struct session_cache *cache);

/* The last one to close it: nobody may be using it any more. The file stays. NULL is fine. */
void session_cache_close(struct session_cache *cache);

/* Copied to *session, a secret to be wiped; untouched when false. Do compare its `peer` with the
 * fingerprint of the key that is on record now: the cache does not know of changes. */
bool session_cache_find(struct session_cache *cache, const uint8_t *digest,
                        struct session *session);

/* Keep it, in the place of another one when its set is full. False: it was not kept, because others
 * were just writing to every place it could have. */
bool session_cache_put(struct session_cache *cache, const struct session *session);

void session_cache_drop(struct session_cache *cache, const uint8_t *digest);

/* The server's sealing for the agent's key with this fingerprint, when it is less than a day old at
 * `now` (wall clock): usable, as sealing_is_usable() has it, without the key at hand. */
bool sealing_cache_find(struct session_cache *cache, const uint8_t *fingerprint, usec_t now,
                        struct sealing *sealing);
bool sealing_cache_put(struct session_cache *cache, const struct sealing *sealing);
void sealing_cache_drop(struct session_cache *cache, const uint8_t *fingerprint);

struct session_cache_usage {
    size_t slots;
    size_t used;
};

struct session_cache_statistics {
    struct session_cache_usage sessions;
    struct session_cache_usage sealings;
    size_t locked; /* slots that are being written, or whose writer died and nobody came since */
    size_t bytes;  /* of the file */
    bool is_fresh; /* this open made the file */
};

/* Looks at all sets: a millisecond or so for 64 MiB. */
void session_cache_read_statistics(struct session_cache *cache,
                                   struct session_cache_statistics *statistics);

#endif
