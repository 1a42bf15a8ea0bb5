/* SPDX-License-Identifier: Apache-2.0 */
/* Version 1 is a line of text, version 2 a block of bytes; their first byte tells them apart.
 * Section numbers are those of HAProxy's proxy-protocol.txt. */
#include "proxy_protocol.h"

#include <errno.h>
#include <string.h>

/* As much of `prefix` as there is stands at the front. */
static bool may_start_with(struct str input, struct str prefix)
{
    return str_starts_with(prefix, str_first(input, prefix.len));
}

/* ---- Version 1 ---- */

#define V1_START STR("PROXY ")

/* Decimal, without sign and leading zeros. */
static bool read_port(struct str text, uint16_t *port)
{
    uint64_t value;
    bool has_zeros = text.len > 1 && text.data[0] == '0';
    if (has_zeros || str_to_uint64(text, &value) != 0 || value > UINT16_MAX) {
        return false;
    }
    *port = (uint16_t)value;
    return true;
}

static bool read_address(int family, struct str host, struct str port, struct address *address)
{
    uint16_t number;
    return host.len > 0 && host.data[0] != '[' && read_port(port, &number) &&
           address_from_host(host, number, address, NULL) == 0 && address->any.sa_family == family;
}

/* 2.1: family, two addresses, two ports, each behind one space. */
static bool read_line(struct str line, struct proxy_header *header)
{
    struct str parts[5];
    size_t count = 0;
    struct str part;
    while (str_split(&line, ' ', &part)) {
        if (count == 0 && str_equal(part, STR("UNKNOWN"))) {
            return true; /* the rest of the line is to be ignored */
        }
        if (count == 5) {
            return false;
        }
        parts[count++] = part;
    }
    int family = count < 5                          ? AF_UNSPEC
                 : str_equal(parts[0], STR("TCP4")) ? AF_INET
                 : str_equal(parts[0], STR("TCP6")) ? AF_INET6
                                                    : AF_UNSPEC;
    header->has_client = true;
    return family != AF_UNSPEC && read_address(family, parts[1], parts[3], &header->client) &&
           read_address(family, parts[2], parts[4], &header->server);
}

static ssize_t parse_v1(struct str input, struct proxy_header *header)
{
    struct str text = str_first(input, PROXY_PROTOCOL_V1_MAX);
    if (!may_start_with(text, V1_START)) {
        return -EBADMSG;
    }
    size_t end = str_find(text, '\r');
    if (end + 1 >= text.len) {
        /* A CR that is the last of so many bytes would need one more for its LF. */
        return text.len == PROXY_PROTOCOL_V1_MAX ? -EBADMSG : 0;
    }
    struct proxy_header read = {0};
    if (text.data[end + 1] != '\n' || end < V1_START.len ||
        !read_line(str_skip(str_first(text, end), V1_START.len), &read)) {
        return -EBADMSG;
    }
    *header = read;
    return (ssize_t)end + 2;
}

/* ---- Version 2 ---- */

#define V2_START STR("\r\n\r\n\0\r\nQUIT\n")

enum {
    V2_HEAD = 16, /* signature, version and command, family, length */
    V2_VERSION = 0x20,
    V2_LOCAL = 0,
    V2_PROXY = 1,
    V2_UNSPECIFIED = 0,
    V2_TCP4 = 0x11,
    V2_TCP6 = 0x21,
    V2_UNIX_STREAM = 0x31,
    V2_UNIX_ADDRESSES = 216,
    V2_VALUE_HEAD = 3, /* type and length */
};

static uint8_t byte_at(struct str text, size_t offset)
{
    return (uint8_t)text.data[offset];
}

static size_t number_at(struct str text, size_t offset)
{
    return (size_t)byte_at(text, offset) << 8 | byte_at(text, offset + 1);
}

/* 2.2: the values fill the block exactly. */
static bool are_values(struct str text)
{
    while (text.len > 0) {
        if (text.len < V2_VALUE_HEAD || number_at(text, 1) > text.len - V2_VALUE_HEAD) {
            return false;
        }
        text = str_skip(text, V2_VALUE_HEAD + number_at(text, 1));
    }
    return true;
}

static void set_ipv4(struct address *address, const char *ip, const char *port)
{
    address->len = sizeof address->ipv4;
    address->ipv4.sin_family = AF_INET;
    memcpy(&address->ipv4.sin_addr, ip, 4);
    memcpy(&address->ipv4.sin_port, port, 2);
}

static void set_ipv6(struct address *address, const char *ip, const char *port)
{
    address->len = sizeof address->ipv6;
    address->ipv6.sin6_family = AF_INET6;
    memcpy(&address->ipv6.sin6_addr, ip, 16);
    memcpy(&address->ipv6.sin6_port, port, 2);
}

/* What stands behind the head. */
static bool read_block(unsigned family, struct str block, struct proxy_header *header)
{
    size_t size;
    if (family == V2_UNSPECIFIED) {
        return true; /* the sender does not know the client; the rest is to be ignored */
    }
    switch (family) {
    case V2_TCP4:
        size = 12;
        break;
    case V2_TCP6:
        size = 36;
        break;
    case V2_UNIX_STREAM:
        size = V2_UNIX_ADDRESSES;
        break;
    default: /* datagrams, and what does not exist */
        return false;
    }
    if (block.len < size || !are_values(str_skip(block, size))) {
        return false;
    }
    header->has_client = family != V2_UNIX_STREAM;
    if (family == V2_TCP4) {
        set_ipv4(&header->client, block.data, block.data + 8);
        set_ipv4(&header->server, block.data + 4, block.data + 10);
    } else if (family == V2_TCP6) {
        set_ipv6(&header->client, block.data, block.data + 32);
        set_ipv6(&header->server, block.data + 16, block.data + 34);
    }
    return true;
}

static bool is_command(uint8_t byte)
{
    return byte == (V2_VERSION | V2_LOCAL) || byte == (V2_VERSION | V2_PROXY);
}

static ssize_t parse_v2(struct str input, struct proxy_header *header)
{
    if (!may_start_with(input, V2_START) ||
        (input.len > V2_START.len && !is_command(byte_at(input, V2_START.len)))) {
        return -EBADMSG;
    }
    if (input.len < V2_HEAD) {
        return 0;
    }
    size_t size = V2_HEAD + number_at(input, V2_HEAD - 2);
    if (size > PROXY_PROTOCOL_V2_MAX) {
        return -EBADMSG;
    }
    if (input.len < size) {
        return 0;
    }
    struct proxy_header read = {0};
    bool is_local = byte_at(input, V2_START.len) == (V2_VERSION | V2_LOCAL);
    if (!is_local && !read_block(byte_at(input, V2_START.len + 1),
                                 str_skip(str_first(input, size), V2_HEAD), &read)) {
        return -EBADMSG;
    }
    *header = read;
    return (ssize_t)size;
}

ssize_t proxy_protocol_parse(struct str input, struct proxy_header *header)
{
    if (input.len == 0) {
        return 0;
    }
    return input.data[0] == '\r' ? parse_v2(input, header) : parse_v1(input, header);
}
