/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of the one shape that a load tool needs. */
#include "target.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

static bool has_odd_byte(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~' || text.data[i] == '#') {
            return true;
        }
    }
    return false;
}

static int take_scheme(struct str *url, struct target *target, struct error *error)
{
    if (str_starts_with(*url, STR("https://"))) {
        target->is_tls = true;
        *url = str_skip(*url, sizeof "https://" - 1);
        return 0;
    }
    if (str_starts_with(*url, STR("http://"))) {
        *url = str_skip(*url, sizeof "http://" - 1);
        return 0;
    }
    return error_set(error, -EINVAL, "a URL begins with http:// or https://");
}

/* "host", "host:port", "[::1]:port". */
static int split_authority(struct str authority, struct str *host, struct str *port)
{
    size_t colon;
    if (authority.len > 0 && authority.data[0] == '[') {
        size_t end = str_find(authority, ']');
        if (end == authority.len) {
            return -EINVAL;
        }
        *host = str_make(authority.data + 1, end - 1);
        colon = end + 1;
    } else {
        colon = str_find(authority, ':');
        *host = str_first(authority, colon);
    }
    if (colon < authority.len && authority.data[colon] != ':') {
        return -EINVAL;
    }
    *port = str_skip(authority, colon + 1);
    return host->len > 0 && host->len < TARGET_HOST_BYTES ? 0 : -EINVAL;
}

static int look_up(struct target *target, uint16_t port, struct error *error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    if (address_from_host(str_from(target->host), port, &target->address, NULL) == 0) {
        return 0;
    }
    int code = getaddrinfo(target->host, NULL, &hints, &found);
    if (code != 0) {
        return error_set(error, -EHOSTUNREACH, "%s: %s", target->host, gai_strerror(code));
    }
    memcpy(&target->address.any, found->ai_addr, found->ai_addrlen);
    target->address.len = found->ai_addrlen;
    address_set_port(&target->address, port);
    freeaddrinfo(found);
    return 0;
}

int target_parse(struct str url, struct target *target, struct error *error)
{
    struct target parsed = {.is_tls = false};
    struct str rest = url;
    struct str host;
    struct str port;
    uint64_t number = 0;
    int code = take_scheme(&rest, &parsed, error);
    if (code < 0) {
        return code;
    }
    size_t slash = str_find(rest, '/');
    struct str authority = str_first(rest, slash);
    struct str path = str_skip(rest, slash);
    if (has_odd_byte(rest) || path.len >= sizeof parsed.path ||
        split_authority(authority, &host, &port) < 0) {
        return error_set(error, -EINVAL, "\"%.*s\" is no URL", STR_ARG(url));
    }
    number = parsed.is_tls ? 443 : 80;
    if (port.len > 0 && (str_to_uint64(port, &number) < 0 || number == 0 || number > 65535)) {
        return error_set(error, -EINVAL, "\"%.*s\" is no port", STR_ARG(port));
    }
    snprintf(parsed.host, sizeof parsed.host, "%.*s", STR_ARG(host));
    snprintf(parsed.authority, sizeof parsed.authority, "%.*s", STR_ARG(authority));
    snprintf(parsed.path, sizeof parsed.path, "%.*s", STR_ARG(path.len == 0 ? STR("/") : path));
    code = look_up(&parsed, (uint16_t)number, error);
    if (code < 0) {
        return code;
    }
    struct ip ip;
    parsed.is_loopback = address_to_ip(&parsed.address, &ip) && ip_is_loopback(&ip);
    *target = parsed;
    return 0;
}

bool target_is_ours(const struct target *target)
{
    struct ip ip;
    return address_to_ip(&target->address, &ip) && (ip_is_loopback(&ip) || ip_is_private(&ip));
}
