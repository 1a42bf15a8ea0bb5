/* SPDX-License-Identifier: Apache-2.0 */
/* RSA public keys in DER. What is read writes back to the same bytes. */
#include "wire/spki.h"

#include <stdint.h>

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str der = str_make((const char *)data, size);
    struct str modulus;
    struct str exponent;
    if (spki_read(der, &modulus, &exponent)) {
        uint8_t again[SPKI_BYTES_MAX];
        size_t len = spki_write(modulus, exponent, again);
        CHECK(str_equal(der, str_make((const char *)again, len)));
    }
    return 0;
}
