/* SPDX-License-Identifier: Apache-2.0 */
/* RSA keys: reading, making, writing. See rsa.h; operations are in rsa.c. */
#include "wire/rsa_key.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "wire/spki.h"
#include "wire/x509.h"

enum { EXPONENT_BITS_MAX = 33, EXPONENT = 65537 };

static bool exponent_is_fine(const EVP_PKEY *pkey)
{
    BIGNUM *e = NULL;
    bool fine = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) &&
                BN_num_bits(e) >= 2 && BN_num_bits(e) <= EXPONENT_BITS_MAX;
    BN_free(e);
    return fine;
}

static bool is_permitted(const EVP_PKEY *pkey)
{
    int bits = EVP_PKEY_get_bits(pkey);
    return EVP_PKEY_is_a(pkey, "RSA") && bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX &&
           exponent_is_fine(pkey);
}

/* Big-endian bytes of one of the key's numbers; 0 when it has none or it is too large. */
static size_t number_bytes(const EVP_PKEY *pkey, const char *name, uint8_t *out, size_t size)
{
    BIGNUM *number = NULL;
    int len = 0;
    if (EVP_PKEY_get_bn_param(pkey, name, &number) == 1 && (size_t)BN_num_bytes(number) <= size) {
        len = BN_bn2bin(number, out);
    }
    BN_free(number);
    return (size_t)len;
}

static size_t write_spki(const EVP_PKEY *pkey, uint8_t out[SPKI_BYTES_MAX])
{
    uint8_t n[RSA_BYTES_MAX];
    uint8_t e[SPKI_EXPONENT_BYTES_MAX];
    struct str modulus =
        str_make((const char *)n, number_bytes(pkey, OSSL_PKEY_PARAM_RSA_N, n, sizeof n));
    struct str exponent =
        str_make((const char *)e, number_bytes(pkey, OSSL_PKEY_PARAM_RSA_E, e, sizeof e));
    return modulus.len == 0 || exponent.len == 0 ? 0 : spki_write(modulus, exponent, out);
}

size_t rsa_key_write_spki(const struct rsa_key *key, uint8_t out[SPKI_BYTES_MAX])
{
    return write_spki(key->pkey, out);
}

/* What others know the key by: the client id and the fingerprint, which is that of its DER. */
static int find_names(struct rsa_key *key, struct str der)
{
    struct str modulus;
    struct str exponent;
    size_t size = 0;
    if (!spki_read(der, &modulus, &exponent) || (modulus.data[modulus.len - 1] & 1) == 0) {
        return -EINVAL;
    }
    if (EVP_Q_digest(NULL, "SHA256", NULL, der.data, der.len, key->fingerprint, &size) != 1) {
        return -EIO;
    }
    return client_id_from_modulus(modulus, &key->client_id);
}

/* Takes a reference of its own. `der` is the same key. */
static int make_key(EVP_PKEY *pkey, struct str der, struct rsa_meter *meter, struct rsa_key **key)
{
    if (!is_permitted(pkey)) {
        ERR_clear_error();
        return -EINVAL;
    }
    struct rsa_key *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return -ENOMEM;
    }
    EVP_PKEY_up_ref(pkey);
    made->pkey = pkey;
    made->bytes = (size_t)EVP_PKEY_get_size(pkey);
    made->meter = meter;
    int error = find_names(made, der);
    if (error < 0) {
        rsa_key_free(made);
        ERR_clear_error();
        return error;
    }
    *key = made;
    return 0;
}

int rsa_key_from_evp(EVP_PKEY *pkey, struct rsa_meter *meter, struct rsa_key **key)
{
    uint8_t der[SPKI_BYTES_MAX];
    size_t len = write_spki(pkey, der); /* 0 of other kinds of keys, which are not permitted */
    return make_key(pkey, str_make((const char *)der, len), meter, key);
}

void rsa_key_free(struct rsa_key *key)
{
    if (key != NULL) {
        EVP_PKEY_free(key->pkey);
        free(key);
    }
}

EVP_PKEY *rsa_key_evp(const struct rsa_key *key)
{
    return key->pkey;
}

size_t rsa_key_bytes(const struct rsa_key *key)
{
    return key->bytes;
}

const struct client_id *rsa_key_client_id(const struct rsa_key *key)
{
    return &key->client_id;
}

const uint8_t *rsa_key_fingerprint(const struct rsa_key *key)
{
    return key->fingerprint;
}

/* Gives the reference away: frees `pkey`, which may be NULL. */
static int adopt(EVP_PKEY *pkey, struct rsa_meter *meter, struct rsa_key **key)
{
    int error = pkey == NULL ? -EINVAL : rsa_key_from_evp(pkey, meter, key);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return error;
}

/* A password is never asked for on the terminal: there is none. */
static int no_password(char *out, int size, int writing, void *context)
{
    (void)writing;
    (void)context;
    if (size > 0) {
        out[0] = '\0';
    }
    return -1;
}

static int read_pem(struct str pem,
                    EVP_PKEY *(*read)(BIO *, EVP_PKEY **, pem_password_cb *, void *),
                    struct rsa_meter *meter, struct rsa_key **key)
{
    if (pem.len > RSA_PEM_BYTES_MAX) {
        return -EINVAL;
    }
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (bio == NULL) {
        return -ENOMEM;
    }
    EVP_PKEY *pkey = read(bio, NULL, no_password, NULL);
    BIO_free(bio);
    return adopt(pkey, meter, key);
}

int rsa_private_from_pem(struct str pem, struct rsa_meter *meter, struct rsa_key **key)
{
    return read_pem(pem, PEM_read_bio_PrivateKey, meter, key);
}

static EVP_PKEY *public_from_numbers(struct str modulus, struct str exponent)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *n = BN_bin2bn((const uint8_t *)modulus.data, (int)modulus.len, NULL);
    BIGNUM *e = BN_bin2bn((const uint8_t *)exponent.data, (int)exponent.len, NULL);
    if (context != NULL && builder != NULL && n != NULL && e != NULL &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1 &&
        (params = OSSL_PARAM_BLD_to_param(builder)) != NULL &&
        EVP_PKEY_fromdata_init(context) == 1) {
        EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params);
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    BN_free(n);
    BN_free(e);
    return pkey;
}

int rsa_public_from_spki(struct str der, struct rsa_meter *meter, struct rsa_key **key)
{
    struct str modulus;
    struct str exponent;
    if (!spki_read(der, &modulus, &exponent)) {
        return -EINVAL;
    }
    EVP_PKEY *pkey = public_from_numbers(modulus, exponent);
    int error = pkey == NULL ? -ENOMEM : make_key(pkey, der, meter, key);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return error;
}

/* A public key in the usual shape. -EINVAL: in any other, or none. */
static int read_usual(struct str pem, struct rsa_meter *meter, struct rsa_key **key)
{
    char *name = NULL;
    char *header = NULL;
    unsigned char *der = NULL;
    long len = 0;
    int error = -EINVAL;
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (bio != NULL && PEM_read_bio(bio, &name, &header, &der, &len) == 1 &&
        strcmp(name, PEM_STRING_PUBLIC) == 0) {
        error = rsa_public_from_spki(str_make((const char *)der, (size_t)len), meter, key);
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(bio);
    ERR_clear_error();
    return error;
}

/* OpenSSL's own decoder takes as long as a private operation; every agent's key comes this way. */
int rsa_public_from_pem(struct str pem, struct rsa_meter *meter, struct rsa_key **key)
{
    if (pem.len > RSA_PEM_BYTES_MAX) {
        return -EINVAL;
    }
    int error = read_usual(pem, meter, key);
    return error == -EINVAL ? read_pem(pem, PEM_read_bio_PUBKEY, meter, key) : error;
}

int rsa_generate(unsigned bits, struct rsa_meter *meter, struct rsa_key **key)
{
    if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX) {
        return -EINVAL;
    }
    EVP_PKEY *pkey = EVP_RSA_gen(bits);
    return pkey == NULL ? -EIO : adopt(pkey, meter, key);
}

/* The numbers of a private key. */
enum { N, E, D, P, Q, DP, DQ, QI, NUMBERS };

static const char *const number_names[NUMBERS] = {
    [N] = OSSL_PKEY_PARAM_RSA_N,          [E] = OSSL_PKEY_PARAM_RSA_E,
    [D] = OSSL_PKEY_PARAM_RSA_D,          [P] = OSSL_PKEY_PARAM_RSA_FACTOR1,
    [Q] = OSSL_PKEY_PARAM_RSA_FACTOR2,    [DP] = OSSL_PKEY_PARAM_RSA_EXPONENT1,
    [DQ] = OSSL_PKEY_PARAM_RSA_EXPONENT2, [QI] = OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

/* RFC 8017 3.2, with p and q set. 1 or 0, as OpenSSL says it. */
static int derive_numbers(BIGNUM **numbers, BN_CTX *context)
{
    BN_CTX_start(context);
    BIGNUM *p1 = BN_CTX_get(context);
    BIGNUM *q1 = BN_CTX_get(context);
    BIGNUM *phi = BN_CTX_get(context);
    int fine = phi != NULL && BN_set_word(numbers[E], EXPONENT) &&
               BN_mul(numbers[N], numbers[P], numbers[Q], context) &&
               BN_sub(p1, numbers[P], BN_value_one()) && BN_sub(q1, numbers[Q], BN_value_one()) &&
               BN_mul(phi, p1, q1, context) &&
               BN_mod_inverse(numbers[D], numbers[E], phi, context) != NULL &&
               BN_mod(numbers[DP], numbers[D], p1, context) &&
               BN_mod(numbers[DQ], numbers[D], q1, context) &&
               BN_mod_inverse(numbers[QI], numbers[Q], numbers[P], context) != NULL;
    BN_CTX_end(context);
    return fine;
}

static EVP_PKEY *key_from_numbers(BIGNUM *const *numbers)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    bool fine = builder != NULL && context != NULL;
    for (int i = 0; fine && i < NUMBERS; i++) {
        fine = OSSL_PARAM_BLD_push_BN(builder, number_names[i], numbers[i]) == 1;
    }
    if (fine && (params = OSSL_PARAM_BLD_to_param(builder)) != NULL &&
        EVP_PKEY_fromdata_init(context) == 1) {
        EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_KEYPAIR, params);
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    return pkey;
}

int rsa_private_from_primes(struct str p, struct str q, struct rsa_meter *meter,
                            struct rsa_key **key)
{
    BIGNUM *numbers[NUMBERS] = {NULL};
    EVP_PKEY *pkey = NULL;
    BN_CTX *context = BN_CTX_secure_new();
    bool fine = context != NULL && p.len <= RSA_BYTES_MAX && q.len <= RSA_BYTES_MAX;
    for (int i = 0; fine && i < NUMBERS; i++) {
        fine = (numbers[i] = BN_secure_new()) != NULL;
    }
    if (fine && BN_bin2bn((const uint8_t *)p.data, (int)p.len, numbers[P]) != NULL &&
        BN_bin2bn((const uint8_t *)q.data, (int)q.len, numbers[Q]) != NULL &&
        derive_numbers(numbers, context)) {
        pkey = key_from_numbers(numbers);
    }
    for (int i = 0; i < NUMBERS; i++) {
        BN_clear_free(numbers[i]);
    }
    BN_CTX_free(context);
    return adopt(pkey, meter, key);
}

int rsa_public_to_pem(const struct rsa_key *key, struct buffer *out)
{
    uint8_t der[SPKI_BYTES_MAX];
    size_t len = rsa_key_write_spki(key, der);
    BIO *bio = BIO_new(BIO_s_mem());
    bool fine =
        len > 0 && bio != NULL && PEM_write_bio(bio, PEM_STRING_PUBLIC, "", der, (long)len) > 0;
    return x509_append_pem(bio, fine, out);
}

int rsa_private_to_pem(const struct rsa_key *key, struct buffer *out)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    bool fine =
        bio != NULL && PEM_write_bio_PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) == 1;
    return x509_append_pem(bio, fine, out);
}
