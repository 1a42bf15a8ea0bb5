/* SPDX-License-Identifier: Apache-2.0 */
/* Peers' addresses. Runs on libmicrohttpd's threads. */
#include "peer.h"

#include <string.h>

static bool is_trusted(const struct address *address, const struct network *trusted, size_t count)
{
    struct ip ip;
    if (!address_to_ip(address, &ip)) {
        return address_is_unix(address); /* its mode says who may connect */
    }
    for (size_t i = 0; i < count; i++) {
        if (network_contains(&trusted[i], &ip)) {
            return true;
        }
    }
    return false;
}

static bool connection_address(struct MHD_Connection *connection, struct address *address)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info == NULL || info->client_addr == NULL) {
        return false;
    }
    memset(address, 0, sizeof *address);
    switch (info->client_addr->sa_family) {
    case AF_INET:
        address->len = sizeof address->ipv4;
        break;
    case AF_INET6:
        address->len = sizeof address->ipv6;
        break;
    default:
        return false;
    }
    memcpy(&address->any, info->client_addr, address->len);
    return true;
}

/* What stands in X-Forwarded-For, from its end: several fields of the name are one list. */
struct hops {
    const struct head *head;
    unsigned fields; /* that were not begun */
    struct str list; /* the rest of the one that was */
};

/* False when all are used up. */
static bool take_last(struct hops *hops, struct str *element)
{
    struct str *list = &hops->list;
    while (list->len == 0 && hops->fields > 0) {
        *list = hops->head->forwarded_for[--hops->fields];
    }
    if (list->len == 0) {
        return false;
    }
    size_t start = list->len;
    while (start > 0 && list->data[start - 1] != ',') {
        start--;
    }
    *element = str_trim(str_skip(*list, start));
    list->len = start == 0 ? 0 : start - 1;
    return true;
}

void peer_name(struct MHD_Connection *connection, const struct head *head,
               const struct network *trusted, size_t trusted_count, char out[ADDRESS_TEXT_SIZE])
{
    struct address address;
    struct str element;
    struct hops hops = {.head = head, .fields = head->forwarded_count};
    out[0] = '\0';
    if (!connection_address(connection, &address)) {
        return;
    }
    while (is_trusted(&address, trusted, trusted_count) && take_last(&hops, &element)) {
        struct address named;
        if (address_from_host(element, 0, &named, NULL) < 0 || address_is_unix(&named)) {
            break; /* not an address: what stands further left is worth no more */
        }
        address = named;
    }
    address_format_host(&address, out);
}
