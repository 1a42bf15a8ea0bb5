/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY protocol headers. Beyond not crashing: no prefix of a header is one or is refused, what is
 * refused stays refused whatever follows, and nothing is longer than allowed. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    struct proxy_header header = {0};
    ssize_t whole = proxy_protocol_parse(text, &header);
    CHECK(whole == 0 || whole == -EBADMSG || (whole > 0 && (size_t)whole <= size));
    CHECK(whole <= PROXY_PROTOCOL_V2_MAX && (whole != 0 || size < PROXY_PROTOCOL_V2_MAX));
    CHECK(header.has_client == (header.client.len > 0));
    bool is_refused = false;
    for (size_t len = 0; len <= size && len <= PROXY_PROTOCOL_V2_MAX; len++) {
        struct proxy_header again;
        ssize_t n = proxy_protocol_parse(str_first(text, len), &again);
        CHECK(n == 0 || n == whole);
        CHECK(n <= 0 || len >= (size_t)n);
        CHECK(!is_refused || n < 0);
        is_refused = n < 0;
        if (n > 0) {
            char text_a[ADDRESS_TEXT_SIZE];
            CHECK(len == (size_t)n);
            CHECK(address_equal(&again.client, &header.client));
            address_format(&again.client, text_a);
            break;
        }
    }
    return 0;
}
