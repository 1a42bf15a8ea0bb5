/* SPDX-License-Identifier: Apache-2.0 */
/* What the files about certificates share. Any thread. */
#include "wire/x509.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "wire/spki.h"

int x509_common_name(const X509_NAME *name, char *out, size_t size)
{
    if (X509_NAME_entry_count(name) != 1) {
        return -EINVAL;
    }
    X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, 0);
    if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName) {
        return -EINVAL;
    }
    unsigned char *text = NULL;
    int len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
    int error = -EINVAL;
    /* A NUL inside would make two readers see two names. */
    if (len > 0 && (size_t)len < size && memchr(text, '\0', (size_t)len) == NULL) {
        memcpy(out, text, (size_t)len);
        out[len] = '\0';
        error = 0;
    }
    OPENSSL_free(text);
    ERR_clear_error();
    return error;
}

X509_NAME *x509_name_new(const char *common_name)
{
    X509_NAME *name = X509_NAME_new();
    if (name != NULL &&
        X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                   (const unsigned char *)common_name, -1, -1, 0) != 1) {
        X509_NAME_free(name);
        name = NULL;
    }
    return name;
}

int x509_append_pem(BIO *bio, bool fine, struct buffer *out)
{
    char *text = NULL;
    long len = fine ? BIO_get_mem_data(bio, &text) : -1;
    int error = len < 0 ? -EIO : buffer_append(out, str_make(text, (size_t)len));
    BIO_free(bio);
    ERR_clear_error();
    return error;
}

bool x509_set_public_key(X509_PUBKEY *field, const struct rsa_key *key)
{
    uint8_t der[SPKI_BYTES_MAX];
    size_t len = rsa_key_write_spki(key, der);
    if (len == 0) {
        return false;
    }
    struct str bits = spki_public_key(str_make((const char *)der, len));
    unsigned char *copy = OPENSSL_memdup(bits.data, bits.len);
    if (copy == NULL || X509_PUBKEY_set0_param(field, OBJ_nid2obj(NID_rsaEncryption), V_ASN1_NULL,
                                               NULL, copy, (int)bits.len) != 1) {
        OPENSSL_free(copy);
        return false;
    }
    return true; /* `copy` is the field's */
}
