/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and networks as text. What is read writes back to text that reads the same. */
#include <stdint.h>

#include "base/check.h"
#include "net/address.h"

static void check_address(const struct address *address, uint16_t default_port)
{
    char text[ADDRESS_TEXT_SIZE];
    struct address again;
    struct error error;
    struct str written = str_from(address_format(address, text));
    CHECK(written.len > 0 && written.len < sizeof text);
    /* A unix path is written without the prefix that may have made it one. */
    if (!address_is_unix(address)) {
        CHECK(address_parse(written, default_port, &again, &error) == 0);
        CHECK(address_equal(address, &again) && address_port(&again) == address_port(address));
        CHECK(address_from_host(str_from(address_format_host(address, text)), address_port(address),
                                &again, &error) == 0);
        CHECK(address_equal(address, &again));
    }
}

/* A network contains its own prefix, and no address that differs in the last bit of it. */
static void check_network(const struct network *network)
{
    struct ip ip = network->prefix;
    CHECK(network->bits <= 128 && network_contains(network, &ip));
    if (network->bits > 0) {
        unsigned last = network->bits - 1;
        ip.bytes[last / 8] ^= (uint8_t)(0x80 >> last % 8);
        CHECK(!network_contains(network, &ip));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    struct address address = {.len = 0};
    struct network network;
    struct error error = {.message = ""};
    if (address_parse(text, 99, &address, &error) == 0) {
        check_address(&address, 99);
    } else {
        CHECK(error.message[0] != '\0' && address.len == 0);
    }
    if (address_from_host(text, 7, &address, &error) == 0) {
        check_address(&address, 99);
    }
    error.message[0] = '\0';
    if (network_parse(text, &network, &error) == 0) {
        check_network(&network);
    } else {
        CHECK(error.message[0] != '\0');
    }
    return 0;
}
