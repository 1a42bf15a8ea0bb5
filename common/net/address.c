/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text and as bytes. Pure functions, any thread. */
#include "net/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static struct ip ip_from_ipv4(const struct in_addr *ipv4)
{
    struct ip ip;
    memcpy(ip.bytes, mapped_prefix, sizeof mapped_prefix);
    memcpy(ip.bytes + sizeof mapped_prefix, ipv4, sizeof *ipv4);
    return ip;
}

static bool ip_is_ipv4(const struct ip *ip)
{
    return memcmp(ip->bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

/* ---- Parsing ---- */

/* inet_pton() wants a C string; what does not fit is no address. */
static bool ip_parse(struct str text, int *family, struct ip *ip)
{
    char copy[INET6_ADDRSTRLEN];
    struct in_addr ipv4;
    if (text.len >= sizeof copy || memchr(text.data, '\0', text.len) != NULL) {
        return false;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, &ipv4) == 1) {
        *family = AF_INET;
        *ip = ip_from_ipv4(&ipv4);
        return true;
    }
    *family = AF_INET6;
    return inet_pton(AF_INET6, copy, ip->bytes) == 1;
}

static struct str without_brackets(struct str text)
{
    if (text.len >= 2 && text.data[0] == '[' && text.data[text.len - 1] == ']') {
        return str_make(text.data + 1, text.len - 2);
    }
    return text;
}

int address_from_host(struct str host, uint16_t port, struct address *address, struct error *error)
{
    struct str bare = without_brackets(host);
    struct ip ip;
    int family;
    if (bare.len == 0 || !ip_parse(bare, &family, &ip) ||
        (bare.len != host.len && family != AF_INET6)) {
        return error_set(error, -EINVAL, "\"%.*s\" is not an IP address", STR_ARG(host));
    }
    *address = (struct address){0};
    if (family == AF_INET) {
        address->len = sizeof address->ipv4;
        address->ipv4.sin_family = AF_INET;
        address->ipv4.sin_port = htons(port);
        memcpy(&address->ipv4.sin_addr, ip.bytes + sizeof mapped_prefix, 4);
    } else {
        address->len = sizeof address->ipv6;
        address->ipv6.sin6_family = AF_INET6;
        address->ipv6.sin6_port = htons(port);
        memcpy(&address->ipv6.sin6_addr, ip.bytes, sizeof ip.bytes);
    }
    return 0;
}

int address_from_path(struct str path, struct address *address, struct error *error)
{
    if (path.len == 0 || path.len >= sizeof address->local.sun_path ||
        memchr(path.data, '\0', path.len) != NULL) {
        return error_set(error, -EINVAL,
                         "\"%.*s\" cannot be the path of a unix socket: it takes 1 to %zu bytes",
                         STR_ARG(path), sizeof address->local.sun_path - 1);
    }
    *address = (struct address){0};
    address->local.sun_family = AF_UNIX;
    memcpy(address->local.sun_path, path.data, path.len);
    address->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return 0;
}

static int port_parse(struct str text, uint16_t *port, struct error *error)
{
    uint64_t number;
    if (str_to_uint64(text, &number) != 0 || number > UINT16_MAX) {
        return error_set(error, -EINVAL, "\"%.*s\" is not a port", STR_ARG(text));
    }
    *port = (uint16_t)number;
    return 0;
}

/* Where the colon before the port is, text.len for none: behind a bracket, or the only colon there
 * is, for "::1" is all host. */
static size_t port_colon(struct str text)
{
    size_t first = str_find(text, ':');
    if (text.len > 0 && text.data[0] == '[') {
        size_t bracket = str_find(text, ']');
        return bracket + 1 < text.len && text.data[bracket + 1] == ':' ? bracket + 1 : text.len;
    }
    return first < text.len && str_find(str_skip(text, first + 1), ':') == text.len - first - 1
               ? first
               : text.len;
}

int address_parse(struct str text, uint16_t default_port, struct address *address,
                  struct error *error)
{
    if (str_starts_with(text, STR("unix:"))) {
        return address_from_path(str_skip(text, 5), address, error);
    }
    if (str_starts_with(text, STR("/"))) {
        return address_from_path(text, address, error);
    }
    size_t colon = port_colon(text);
    uint16_t port = default_port;
    if (colon < text.len) {
        int code = port_parse(str_skip(text, colon + 1), &port, error);
        if (code < 0) {
            return error_wrap(error, code, "\"%.*s\" is not an address", STR_ARG(text));
        }
    }
    return address_from_host(str_first(text, colon), port, address, error);
}

/* ---- Formatting ---- */

static char *format_unix(const struct address *address, char *out)
{
    size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t len = address->len > start ? address->len - start : 0;
    const char *path = address->local.sun_path;
    if (len > 1 && path[0] == '\0') {
        snprintf(out, ADDRESS_TEXT_SIZE, "@%.*s", (int)len - 1, path + 1);
    } else if (len > 0 && path[0] != '\0') {
        snprintf(out, ADDRESS_TEXT_SIZE, "%.*s", (int)len, path);
    } else {
        snprintf(out, ADDRESS_TEXT_SIZE, "unix");
    }
    return out;
}

char *address_format_host(const struct address *address, char out[ADDRESS_TEXT_SIZE])
{
    struct ip ip;
    if (address_is_unix(address)) {
        return format_unix(address, out);
    }
    if (!address_to_ip(address, &ip)) {
        snprintf(out, ADDRESS_TEXT_SIZE, "unknown");
    } else if (ip_is_ipv4(&ip)) {
        inet_ntop(AF_INET, ip.bytes + sizeof mapped_prefix, out, ADDRESS_TEXT_SIZE);
    } else {
        inet_ntop(AF_INET6, ip.bytes, out, ADDRESS_TEXT_SIZE);
    }
    return out;
}

char *address_format(const struct address *address, char out[ADDRESS_TEXT_SIZE])
{
    struct ip ip;
    char host[ADDRESS_TEXT_SIZE];
    if (!address_to_ip(address, &ip)) {
        return address_format_host(address, out);
    }
    address_format_host(address, host);
    snprintf(out, ADDRESS_TEXT_SIZE, ip_is_ipv4(&ip) ? "%.46s:%u" : "[%.46s]:%u", host,
             address_port(address));
    return out;
}

/* ---- Questions ---- */

bool address_is_unix(const struct address *address)
{
    return address->len > 0 && address->any.sa_family == AF_UNIX;
}

uint16_t address_port(const struct address *address)
{
    /* The port is at the same place for both families. */
    static_assert(offsetof(struct sockaddr_in, sin_port) ==
                      offsetof(struct sockaddr_in6, sin6_port),
                  "one port");
    return address->len == 0 || address_is_unix(address) ? 0 : ntohs(address->ipv4.sin_port);
}

void address_set_port(struct address *address, uint16_t port)
{
    if (address->len > 0 && !address_is_unix(address)) {
        address->ipv4.sin_port = htons(port);
    }
}

void ip_to_address(const struct ip *ip, uint16_t port, struct address *address)
{
    *address = (struct address){.len = sizeof address->ipv6};
    if (ip_is_ipv4(ip)) {
        address->len = sizeof address->ipv4;
        address->ipv4.sin_family = AF_INET;
        memcpy(&address->ipv4.sin_addr, ip->bytes + sizeof mapped_prefix, 4);
    } else {
        address->ipv6.sin6_family = AF_INET6;
        memcpy(&address->ipv6.sin6_addr, ip->bytes, sizeof ip->bytes);
    }
    address_set_port(address, port);
}

bool address_to_ip(const struct address *address, struct ip *ip)
{
    if (address->len > 0 && address->any.sa_family == AF_INET) {
        *ip = ip_from_ipv4(&address->ipv4.sin_addr);
        return true;
    }
    if (address->len > 0 && address->any.sa_family == AF_INET6) {
        memcpy(ip->bytes, &address->ipv6.sin6_addr, sizeof ip->bytes);
        return true;
    }
    return false;
}

bool address_equal(const struct address *a, const struct address *b)
{
    struct ip first;
    struct ip second;
    if (address_to_ip(a, &first) && address_to_ip(b, &second)) {
        return memcmp(&first, &second, sizeof first) == 0 && address_port(a) == address_port(b);
    }
    return a->len == b->len && memcmp(&a->any, &b->any, a->len) == 0;
}

static bool matches_any(const struct ip *ip, const struct network *networks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (network_contains(&networks[i], ip)) {
            return true;
        }
    }
    return false;
}

#define IPV4(a, b)                                           \
    {                                                        \
        {                                                    \
            [10] = 0xff, [11] = 0xff, [12] = (a), [13] = (b) \
        }                                                    \
    }
#define IPV6(a, b)               \
    {                            \
        {                        \
            [0] = (a), [1] = (b) \
        }                        \
    }

static const struct network loopback_networks[] = {
    {IPV4(127, 0), 104},
    {{{[15] = 1}}, 128},
};

static const struct network private_networks[] = {
    {IPV4(10, 0), 104},    {IPV4(172, 16), 108},  {IPV4(192, 168), 112},
    {IPV4(169, 254), 112}, {IPV6(0xfc, 0x00), 7}, {IPV6(0xfe, 0x80), 10},
};

bool ip_is_loopback(const struct ip *ip)
{
    return matches_any(ip, loopback_networks, ARRAY_LEN(loopback_networks));
}

bool ip_is_private(const struct ip *ip)
{
    return ip_is_loopback(ip) || matches_any(ip, private_networks, ARRAY_LEN(private_networks));
}

/* ---- Networks ---- */

/* The byte number `i` of a mask of `bits` ones. */
static unsigned mask_byte(unsigned bits, unsigned i)
{
    unsigned left = bits > 8 * i ? bits - 8 * i : 0;
    return left >= 8 ? 0xffU : 0xff00U >> left & 0xffU;
}

bool network_contains(const struct network *network, const struct ip *ip)
{
    for (unsigned i = 0; i < sizeof ip->bytes; i++) {
        if (((network->prefix.bytes[i] ^ ip->bytes[i]) & mask_byte(network->bits, i)) != 0) {
            return false;
        }
    }
    return true;
}

static bool has_host_bits(const struct network *network)
{
    for (unsigned i = 0; i < sizeof network->prefix.bytes; i++) {
        if ((network->prefix.bytes[i] & ~mask_byte(network->bits, i)) != 0) {
            return true;
        }
    }
    return false;
}

int network_parse(struct str text, struct network *network, struct error *error)
{
    struct network parsed = {.bits = 128};
    size_t slash = str_find(text, '/');
    int family;
    if (slash == 0 || !ip_parse(str_first(text, slash), &family, &parsed.prefix)) {
        return error_set(error, -EINVAL,
                         "\"%.*s\" is not a network: it takes an IP address, a slash and bits",
                         STR_ARG(text));
    }
    if (slash < text.len) {
        unsigned width = family == AF_INET ? 32 : 128;
        uint64_t bits;
        if (str_to_uint64(str_skip(text, slash + 1), &bits) != 0 || bits > width) {
            return error_set(error, -EINVAL, "\"%.*s\" is not a network: behind the slash, 0 to %u",
                             STR_ARG(text), width);
        }
        parsed.bits = 128 - width + (unsigned)bits;
    }
    if (has_host_bits(&parsed)) {
        return error_set(error, -EINVAL,
                         "\"%.*s\" is not a network: bits behind the prefix are set",
                         STR_ARG(text));
    }
    *network = parsed;
    return 0;
}
