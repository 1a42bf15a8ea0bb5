/* SPDX-License-Identifier: Apache-2.0 */
/* A pool of primes in memory or in a mapped file, and which pair makes which identity. */
#include "identities.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "wire/cipher.h"

enum { VERSION = 1, EXPONENT = 65537, THREADS_MAX = 256 };

static const char file_magic[8] = "PORTIDS";

/* The file: this, then the primes, big-endian. Of this machine's byte order, as the magic number of
 * another one would not fit its version. */
struct header {
    char magic[8];
    uint32_t version;
    uint32_t header_bytes;
    uint64_t identities;
    uint32_t primes;
    uint32_t prime_bytes;
    uint8_t digest[SHA256_BYTES]; /* of the primes */
};
static_assert(sizeof(struct header) == 64, "the file's layout");

struct identities {
    size_t count, primes;
    const uint8_t *bytes; /* primes * IDENTITY_PRIME_BYTES */
    uint8_t *owned;       /* the same when they were made here */
    void *mapped;         /* or the file they are in */
    size_t mapped_bytes;
};

static uint64_t pairs_of(uint64_t primes)
{
    return primes * (primes - 1) / 2;
}

size_t identities_primes_for(size_t count)
{
    size_t primes = 2;
    while (pairs_of(primes) < count) {
        primes++;
    }
    return primes;
}

/* Pair number k in the order (0,1), (0,2), (1,2), (0,3) ... */
static void pair_at(size_t index, size_t *low, size_t *high)
{
    size_t row = identities_primes_for(index + 1) - 1;
    *high = row;
    *low = index - (size_t)pairs_of(row);
}

/* ---- Making ---- */

struct making {
    uint8_t *bytes;
    size_t primes;
    atomic_size_t next;
    atomic_bool failed;
};

/* One prime whose predecessor is prime to the exponent. Both top bits are set, so that two of them
 * always make a modulus of full length. */
static bool make_prime(BIGNUM *prime, uint8_t *out)
{
    do {
        if (BN_generate_prime_ex(prime, IDENTITY_PRIME_BYTES * 8, 0, NULL, NULL, NULL) != 1) {
            return false;
        }
    } while (BN_mod_word(prime, EXPONENT) == 1);
    return BN_bn2binpad(prime, out, IDENTITY_PRIME_BYTES) == IDENTITY_PRIME_BYTES;
}

static void *make_primes(void *argument)
{
    struct making *making = argument;
    BIGNUM *prime = BN_new();
    size_t at;
    bool fine = prime != NULL;
    while (fine && !atomic_load(&making->failed) &&
           (at = atomic_fetch_add(&making->next, 1)) < making->primes) {
        fine = make_prime(prime, making->bytes + at * IDENTITY_PRIME_BYTES);
    }
    if (!fine) {
        atomic_store(&making->failed, true);
    }
    BN_clear_free(prime);
    ERR_clear_error();
    return NULL;
}

static bool make_on_threads(struct making *making, unsigned threads)
{
    pthread_t ids[THREADS_MAX];
    unsigned started = 0;
    while (started + 1 < threads && started < THREADS_MAX &&
           pthread_create(&ids[started], NULL, make_primes, making) == 0) {
        started++;
    }
    make_primes(making);
    for (unsigned i = 0; i < started; i++) {
        pthread_join(ids[i], NULL);
    }
    return !atomic_load(&making->failed);
}

int identities_make(size_t count, unsigned threads, struct identities **identities,
                    struct error *error)
{
    if (count == 0 || count > IDENTITIES_MAX) {
        return error_set(error, -EINVAL, "1 to %d identities can be made", IDENTITIES_MAX);
    }
    struct making making = {.primes = identities_primes_for(count)};
    struct identities *made = calloc(1, sizeof *made);
    making.bytes = calloc(making.primes, IDENTITY_PRIME_BYTES);
    if (made == NULL || making.bytes == NULL) {
        free(made);
        free(making.bytes);
        return error_set(error, -ENOMEM, "no memory for the primes");
    }
    *made = (struct identities){
        .count = count, .primes = making.primes, .bytes = making.bytes, .owned = making.bytes};
    if (!make_on_threads(&making, threads)) {
        identities_free(made);
        return error_set(error, -EIO, "OpenSSL could not make a prime");
    }
    *identities = made;
    return 0;
}

void identities_free(struct identities *identities)
{
    if (identities == NULL) {
        return;
    }
    if (identities->mapped != NULL) {
        munmap(identities->mapped, identities->mapped_bytes);
    }
    free(identities->owned);
    free(identities);
}

/* ---- The file ---- */

static int digest_of(const uint8_t *bytes, size_t primes, uint8_t *digest)
{
    size_t size = SHA256_BYTES;
    return EVP_Q_digest(NULL, "SHA256", NULL, bytes, primes * IDENTITY_PRIME_BYTES, digest,
                        &size) == 1
               ? 0
               : -EIO;
}

static int write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

static int write_file(int fd, const struct identities *identities)
{
    struct header header = {
        .version = VERSION,
        .header_bytes = sizeof header,
        .identities = identities->count,
        .primes = (uint32_t)identities->primes,
        .prime_bytes = IDENTITY_PRIME_BYTES,
    };
    memcpy(header.magic, file_magic, sizeof header.magic);
    int code = digest_of(identities->bytes, identities->primes, header.digest);
    code = code < 0 ? code : write_all(fd, &header, sizeof header);
    code = code < 0 ? code
                    : write_all(fd, identities->bytes, identities->primes * IDENTITY_PRIME_BYTES);
    return code == 0 && fsync(fd) < 0 ? -errno : code;
}

int identities_save(const struct identities *identities, const char *path, struct error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set_errno(error, -errno, "cannot make %s", path);
    }
    int code = write_file(fd, identities);
    if (close(fd) < 0 && code == 0) {
        code = -errno;
    }
    if (code < 0) {
        unlink(path);
        return error_set_errno(error, code, "cannot write %s", path);
    }
    return 0;
}

static const char *find_fault(const struct header *header, size_t size)
{
    uint8_t digest[SHA256_BYTES];
    if (size < sizeof *header || memcmp(header->magic, file_magic, sizeof file_magic) != 0) {
        return "holds no identities";
    }
    if (header->version != VERSION || header->header_bytes != sizeof *header ||
        header->prime_bytes != IDENTITY_PRIME_BYTES) {
        return "is of another version";
    }
    if (header->primes < 2 || header->identities == 0 ||
        header->identities > pairs_of(header->primes) || header->identities > IDENTITIES_MAX ||
        size != sizeof *header + (size_t)header->primes * IDENTITY_PRIME_BYTES) {
        return "is not as long as it says";
    }
    if (digest_of((const uint8_t *)(header + 1), header->primes, digest) < 0 ||
        memcmp(digest, header->digest, sizeof digest) != 0) {
        return "is damaged";
    }
    return NULL;
}

static int map_file(int fd, struct identities *identities)
{
    struct stat status;
    if (fstat(fd, &status) < 0) {
        return -errno;
    }
    identities->mapped_bytes = (size_t)status.st_size;
    if (!S_ISREG(status.st_mode) || status.st_size == 0) {
        return -EBADMSG;
    }
    void *mapped = mmap(NULL, identities->mapped_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED) {
        return -errno;
    }
    identities->mapped = mapped;
    return 0;
}

static int adopt_file(struct identities *identities, const char *path, struct error *error)
{
    const struct header *header = identities->mapped;
    CHECK(header != NULL);
    const char *fault = find_fault(header, identities->mapped_bytes);
    if (fault != NULL) {
        return error_set(error, -EBADMSG, "%s %s", path, fault);
    }
    identities->count = header->identities;
    identities->primes = header->primes;
    identities->bytes = (const uint8_t *)(header + 1);
    return 0;
}

int identities_open(const char *path, struct identities **identities, struct error *error)
{
    struct identities *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return error_set(error, -ENOMEM, "no memory");
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int code = fd < 0 ? -errno : map_file(fd, opened);
    if (fd >= 0) {
        close(fd);
    }
    code = code < 0 ? error_set_errno(error, code, "cannot read %s", path)
                    : adopt_file(opened, path, error);
    if (code < 0) {
        identities_free(opened);
        return code;
    }
    *identities = opened;
    return 0;
}

/* ---- Reading ---- */

size_t identities_count(const struct identities *identities)
{
    return identities->count;
}

size_t identities_primes(const struct identities *identities)
{
    return identities->primes;
}

static struct str prime_at(const struct identities *identities, size_t index)
{
    return str_make((const char *)identities->bytes + index * IDENTITY_PRIME_BYTES,
                    IDENTITY_PRIME_BYTES);
}

int identities_key(const struct identities *identities, size_t index, struct rsa_key **key)
{
    size_t low;
    size_t high;
    CHECK(index < identities->count);
    pair_at(index, &low, &high);
    return rsa_private_from_primes(prime_at(identities, high), prime_at(identities, low), NULL,
                                   key);
}

int identities_client_id(const struct identities *identities, size_t index, struct client_id *id)
{
    uint8_t modulus[2 * IDENTITY_PRIME_BYTES];
    size_t low;
    size_t high;
    CHECK(index < identities->count);
    pair_at(index, &low, &high);
    struct str a = prime_at(identities, low);
    struct str b = prime_at(identities, high);
    BN_CTX *context = BN_CTX_new();
    BIGNUM *p = BN_bin2bn((const uint8_t *)a.data, (int)a.len, NULL);
    BIGNUM *q = BN_bin2bn((const uint8_t *)b.data, (int)b.len, NULL);
    int len = -1;
    if (context != NULL && p != NULL && q != NULL && BN_mul(p, p, q, context) == 1) {
        len = BN_bn2bin(p, modulus);
    }
    BN_CTX_free(context);
    BN_free(p);
    BN_free(q);
    ERR_clear_error();
    return len < 0 ? -ENOMEM
                   : client_id_from_modulus(str_make((const char *)modulus, (size_t)len), id);
}
