/* SPDX-License-Identifier: Apache-2.0 */
/* Ticket keys: one that seals, one before it that still opens. Any thread; a lock is held while
 * a key is copied, once or twice in a handshake. */
#include "net/tls_tickets.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { NAME_SIZE = 16, IV_SIZE = 16 };

struct key {
    unsigned char name[NAME_SIZE];
    unsigned char cipher[32]; /* AES-256-CBC */
    unsigned char mac[32];    /* HMAC-SHA256 */
    usec_t born;
};

struct tls_tickets {
    atomic_uint references;
    const struct clock *clock;
    usec_t period;
    EVP_CIPHER *cipher; /* looked up once: that is slower than the encryption */
    pthread_mutex_t lock;
    struct key current;  /* the rest is under the lock */
    struct key previous; /* born is -USEC_NEVER: none */
};

static bool key_make(struct key *key, usec_t now)
{
    struct key fresh = {.born = now};
    bool made = RAND_bytes(fresh.name, sizeof fresh.name) == 1 &&
                RAND_priv_bytes(fresh.cipher, sizeof fresh.cipher) == 1 &&
                RAND_priv_bytes(fresh.mac, sizeof fresh.mac) == 1;
    if (made) {
        *key = fresh;
    }
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return made;
}

static void tickets_free(struct tls_tickets *tickets)
{
    OPENSSL_cleanse(&tickets->current, sizeof tickets->current);
    OPENSSL_cleanse(&tickets->previous, sizeof tickets->previous);
    EVP_CIPHER_free(tickets->cipher);
    pthread_mutex_destroy(&tickets->lock);
    free(tickets);
}

struct tls_tickets *tls_tickets_new(const struct clock *clock, usec_t period)
{
    CHECK(period > 0);
    struct tls_tickets *tickets = calloc(1, sizeof *tickets);
    if (tickets == NULL) {
        return NULL;
    }
    atomic_init(&tickets->references, 1);
    pthread_mutex_init(&tickets->lock, NULL); /* cannot fail on Linux */
    tickets->clock = clock;
    tickets->period = period;
    tickets->previous.born = -USEC_NEVER;
    tickets->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (tickets->cipher == NULL || !key_make(&tickets->current, clock_monotonic(clock))) {
        tickets_free(tickets);
        return NULL;
    }
    return tickets;
}

struct tls_tickets *tls_tickets_ref(struct tls_tickets *tickets)
{
    if (tickets != NULL) {
        atomic_fetch_add_explicit(&tickets->references, 1, memory_order_relaxed);
    }
    return tickets;
}

void tls_tickets_unref(struct tls_tickets *tickets)
{
    if (tickets != NULL && atomic_fetch_sub(&tickets->references, 1) == 1) {
        tickets_free(tickets);
    }
}

static bool is_younger(const struct key *key, usec_t age, usec_t now)
{
    return key->born != -USEC_NEVER && now < usec_add(key->born, age);
}

/* Under the lock. Without random numbers the old key goes on: better than no service. */
static void rotate(struct tls_tickets *tickets, usec_t now)
{
    if (!is_younger(&tickets->current, tickets->period, now)) {
        struct key old = tickets->current;
        if (key_make(&tickets->current, now)) {
            tickets->previous = old;
        }
        OPENSSL_cleanse(&old, sizeof old);
    }
    if (!is_younger(&tickets->previous, 2 * tickets->period, now)) {
        OPENSSL_cleanse(&tickets->previous, sizeof tickets->previous);
        tickets->previous.born = -USEC_NEVER;
    }
}

static struct key sealing_key(struct tls_tickets *tickets)
{
    pthread_mutex_lock(&tickets->lock);
    rotate(tickets, clock_monotonic(tickets->clock));
    struct key key = tickets->current;
    pthread_mutex_unlock(&tickets->lock);
    return key;
}

static bool has_name(const struct key *key, const unsigned char *name)
{
    return key->born != -USEC_NEVER && memcmp(key->name, name, NAME_SIZE) == 0;
}

enum found { FOUND_NONE, FOUND_CURRENT, FOUND_PREVIOUS };

static enum found opening_key(struct tls_tickets *tickets, const unsigned char *name,
                              struct key *key)
{
    enum found found = FOUND_NONE;
    pthread_mutex_lock(&tickets->lock);
    rotate(tickets, clock_monotonic(tickets->clock));
    if (has_name(&tickets->current, name)) {
        found = FOUND_CURRENT;
        *key = tickets->current;
    } else if (has_name(&tickets->previous, name)) {
        found = FOUND_PREVIOUS;
        *key = tickets->previous;
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

static bool start(const struct tls_tickets *tickets, struct key *key, unsigned char *iv,
                  EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher, tickets->cipher, NULL, key->cipher, iv, seal) == 1 &&
           EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

/* RFC 8446 C.4: a client uses a ticket of TLS 1.3 once, so it needs a fresh one each time; without
 * it every second connection would shake hands in full. */
static bool wants_fresh(const SSL *ssl, enum found found)
{
    return found == FOUND_PREVIOUS || SSL_version(ssl) == TLS1_3_VERSION;
}

/* OpenSSL's question, while it writes or reads a ticket. -1: failed, 0: unknown key, so a full
 * handshake, 1: use it, 2: use it and send a fresh ticket. */
static int use_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                   EVP_MAC_CTX *mac, int seal)
{
    struct tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct key key;
    enum found found = FOUND_CURRENT;
    if (seal) {
        key = sealing_key(tickets);
        memcpy(name, key.name, NAME_SIZE);
        if (RAND_bytes(iv, IV_SIZE) != 1) {
            found = FOUND_NONE;
        }
    } else {
        found = opening_key(tickets, name, &key);
    }
    int answer = seal ? -1 : 0;
    if (found != FOUND_NONE) {
        answer = !start(tickets, &key, iv, cipher, mac, seal) ? -1
                 : wants_fresh(ssl, found)                    ? 2
                                                              : 1;
        OPENSSL_cleanse(&key, sizeof key);
    }
    return answer;
}

int tls_tickets_attach(struct tls_tickets *tickets, struct ssl_ctx_st *ssl)
{
    if (SSL_CTX_set_app_data(ssl, tickets) != 1 ||
        SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, use_key) != 1) {
        return -ENOMEM;
    }
    SSL_CTX_set_timeout(ssl, (long)(tickets->period / USEC_PER_SEC));
    return 0;
}
