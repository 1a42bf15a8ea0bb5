/* SPDX-License-Identifier: Apache-2.0 */
/* Where a socket is: an IPv4 or IPv6 address with a port, or a unix path. Plain values, any thread.
 * Numbers only; names are resolved elsewhere, for that blocks. */
#ifndef PORTICO_NET_ADDRESS_H
#define PORTICO_NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"

struct address {
    socklen_t len; /* 0: no address */
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
        struct sockaddr_un local;
    };
};

/* Room for every formatted address and its NUL. */
enum { ADDRESS_TEXT_SIZE = 112 };

/* An IP address without port, 16 bytes whatever its family: IPv4 as ::ffff:a.b.c.d. Equal addresses
 * are equal bytes, so it serves as a key. */
struct ip {
    uint8_t bytes[16];
};

/* All IP addresses whose first `bits` bits are those of `prefix`. */
struct network {
    struct ip prefix;
    unsigned bits; /* of 128; "10.0.0.0/8" has 104 */
};

/* Understands "127.0.0.1:8080", "[::1]:80", "127.0.0.1", "::1" and "[::1]" (with `default_port`),
 * "/run/x.sock" and "unix:/run/x.sock". 0, or -EINVAL with words. */
MUST_CHECK int address_parse(struct str text, uint16_t default_port, struct address *address,
                             struct error *error);

/* `host` as address_parse() takes it, without a port. */
MUST_CHECK int address_from_host(struct str host, uint16_t port, struct address *address,
                                 struct error *error);
MUST_CHECK int address_from_path(struct str path, struct address *address, struct error *error);

/* Address and port as address_parse() reads them; IPv4-mapped IPv6 as IPv4. A unix socket is its
 * path, "@" and a name when it is abstract, "unix" when it has neither. Returns `out`. */
char *address_format(const struct address *address, char out[ADDRESS_TEXT_SIZE]);

/* The same without port and brackets. */
char *address_format_host(const struct address *address, char out[ADDRESS_TEXT_SIZE]);

/* The same place: an IPv4 address equals its mapped form. */
bool address_equal(const struct address *a, const struct address *b);

bool address_is_unix(const struct address *address);

/* Host order; 0 for unix sockets. */
uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);

/* False for unix sockets. */
bool address_to_ip(const struct address *address, struct ip *ip);

/* The way back; a mapped address becomes an IPv4 one. */
void ip_to_address(const struct ip *ip, uint16_t port, struct address *address);

/* 127.0.0.0/8, ::1. */
bool ip_is_loopback(const struct ip *ip);

/* Loopback, link-local and what RFC 1918 and RFC 4193 set aside. */
bool ip_is_private(const struct ip *ip);

/* "10.0.0.0/8", "fd00::/8", or one address: "::1". Bits behind the prefix must be 0, for
 * "10.1.2.3/8" is more likely a mistake than meant. 0, or -EINVAL with words. */
MUST_CHECK int network_parse(struct str text, struct network *network, struct error *error);

bool network_contains(const struct network *network, const struct ip *ip);

#endif
