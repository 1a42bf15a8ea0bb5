/* SPDX-License-Identifier: Apache-2.0 */
/* One shape of DER. See spki.h. */
#include "wire/spki.h"

#include <string.h>

#include "base/check.h"

/* SEQUENCE { OBJECT IDENTIFIER rsaEncryption, NULL }, RFC 8017 A.1 */
static const uint8_t rsa_encryption[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                         0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};

enum { TAG_INTEGER = 0x02, TAG_BIT_STRING = 0x03, TAG_SEQUENCE = 0x30 };

/* Bytes that a tag and this length take: DER has the shortest form only. */
static size_t head_size(size_t len)
{
    return len < 0x80 ? 2 : len < 0x100 ? 3 : 4;
}

static size_t element_size(size_t len)
{
    return head_size(len) + len;
}

static uint8_t *write_head(uint8_t *at, uint8_t tag, size_t len)
{
    *at++ = tag;
    if (len >= 0x100) {
        *at++ = 0x82;
        *at++ = (uint8_t)(len >> 8);
    } else if (len >= 0x80) {
        *at++ = 0x81;
    }
    *at++ = (uint8_t)len;
    return at;
}

/* A number with its top bit set needs a zero before it, or it would be negative. */
static size_t integer_size(struct str number)
{
    return number.len + (((uint8_t)number.data[0] & 0x80) != 0);
}

static uint8_t *write_integer(uint8_t *at, struct str number)
{
    at = write_head(at, TAG_INTEGER, integer_size(number));
    if (integer_size(number) > number.len) {
        *at++ = 0;
    }
    memcpy(at, number.data, number.len);
    return at + number.len;
}

size_t spki_write(struct str modulus, struct str exponent, uint8_t out[SPKI_BYTES_MAX])
{
    CHECK(modulus.len > 0 && modulus.len <= RSA_BYTES_MAX);
    CHECK(exponent.len > 0 && exponent.len <= SPKI_EXPONENT_BYTES_MAX);
    size_t numbers = element_size(integer_size(modulus)) + element_size(integer_size(exponent));
    size_t key = element_size(numbers) + 1; /* and the count of unused bits */
    uint8_t *at = write_head(out, TAG_SEQUENCE, sizeof rsa_encryption + element_size(key));
    memcpy(at, rsa_encryption, sizeof rsa_encryption);
    at = write_head(at + sizeof rsa_encryption, TAG_BIT_STRING, key);
    *at++ = 0;
    at = write_head(at, TAG_SEQUENCE, numbers);
    at = write_integer(at, modulus);
    at = write_integer(at, exponent);
    return (size_t)(at - out);
}

/* Take the element with `tag` off the front of *rest. */
static bool take(struct str *rest, uint8_t tag, struct str *content)
{
    const uint8_t *bytes = (const uint8_t *)rest->data;
    if (rest->len < 4 || bytes[0] != tag) {
        return false;
    }
    size_t len = bytes[1];
    size_t head = 2;
    if (len == 0x81) {
        len = bytes[2];
        head = 3;
    } else if (len == 0x82) {
        len = (size_t)bytes[2] << 8 | bytes[3];
        head = 4;
    } else if (len > 0x7f) {
        return false;
    }
    if (len > rest->len - head) {
        return false;
    }
    *content = str_first(str_skip(*rest, head), len);
    *rest = str_skip(*rest, head + len);
    return true;
}

static bool take_integer(struct str *rest, size_t max, struct str *number)
{
    if (!take(rest, TAG_INTEGER, number)) {
        return false;
    }
    if (number->len > 1 && number->data[0] == 0) {
        *number = str_skip(*number, 1);
    }
    return number->len > 0 && number->len <= max && number->data[0] != 0;
}

/* What the bit string holds, without its count of unused bits. */
static bool take_public_key(struct str der, struct str *key)
{
    struct str info;
    if (!take(&der, TAG_SEQUENCE, &info) ||
        !str_starts_with(info, str_make((const char *)rsa_encryption, sizeof rsa_encryption))) {
        return false;
    }
    info = str_skip(info, sizeof rsa_encryption);
    if (!take(&info, TAG_BIT_STRING, key) || key->len == 0) {
        return false;
    }
    *key = str_skip(*key, 1);
    return true;
}

bool spki_read(struct str der, struct str *modulus, struct str *exponent)
{
    uint8_t again[SPKI_BYTES_MAX];
    struct str key;
    struct str numbers;
    struct str n;
    struct str e;
    if (!take_public_key(der, &key) || !take(&key, TAG_SEQUENCE, &numbers) ||
        !take_integer(&numbers, RSA_BYTES_MAX, &n) ||
        !take_integer(&numbers, SPKI_EXPONENT_BYTES_MAX, &e)) {
        return false;
    }
    /* Whatever was lenient above, or left over, shows here. */
    size_t len = spki_write(n, e, again);
    if (!str_equal(der, str_make((const char *)again, len))) {
        return false;
    }
    *modulus = n;
    *exponent = e;
    return true;
}

struct str spki_public_key(struct str der)
{
    struct str key;
    CHECK(take_public_key(der, &key));
    return key;
}
