/* SPDX-License-Identifier: Apache-2.0 */
/* From entries to hosts to places. Pure. */
#include "hosts.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* ---- Entries ---- */

static bool is_host_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_') {
            return false;
        }
    }
    return name.len > 0 && name.len < HOST_NAME_SIZE;
}

/* "HOST:PORT" in two; a text with several colons is an IPv6 address without port. */
static int split_port(struct str *name, struct host *host)
{
    uint64_t port;
    size_t end = name->len > 0 && name->data[0] == '[' ? str_find(*name, ']') : 0;
    size_t colon = end + str_find(str_skip(*name, end), ':');
    struct str behind = str_skip(*name, colon + 1);
    if (colon >= name->len || str_find(behind, ':') < behind.len) {
        return 0;
    }
    if (str_to_uint64(behind, &port) != 0 || port == 0 || port > UINT16_MAX) {
        return -EINVAL;
    }
    host->first = host->last = (uint16_t)port;
    *name = str_first(*name, colon);
    return 0;
}

static int read_entry(struct str text, struct host *host, struct error *error)
{
    struct str name = text;
    if (split_port(&name, host) < 0) {
        return error_set(error, -EINVAL, "\"%.*s\": behind the colon, a port from 1 to 65535",
                         STR_ARG(text));
    }
    if (address_from_host(name, 0, &host->address, NULL) == 0 && !address_is_unix(&host->address)) {
        char number[ADDRESS_TEXT_SIZE];
        snprintf(host->name, sizeof host->name, "%s", address_format_host(&host->address, number));
        return 0;
    }
    host->address.len = 0;
    if (!is_host_name(name)) {
        return error_set(error, -EINVAL,
                         "\"%.*s\" is not a host: it takes a name of less than %d characters or an "
                         "IP address, maybe with a port",
                         STR_ARG(text), HOST_NAME_SIZE);
    }
    memcpy(host->name, name.data, name.len);
    host->name[name.len] = '\0';
    return 0;
}

static bool is_any(const struct address *address)
{
    static const struct ip any_ipv4 = {{[10] = 0xff, [11] = 0xff}};
    static const struct ip any_ipv6;
    struct ip ip;
    return !address_to_ip(address, &ip) || memcmp(&ip, &any_ipv4, sizeof ip) == 0 ||
           memcmp(&ip, &any_ipv6, sizeof ip) == 0;
}

static int read_here(const struct config *config, struct host_list *hosts, struct error *error)
{
    struct str bound = str_from(config_str(config, "Frontend.bind_address"));
    int code = address_from_host(bound, 0, &hosts->here, error);
    if (code == 0 && is_any(&hosts->here)) {
        code = address_from_host(STR("127.0.0.1"), 0, &hosts->here, error);
    }
    return code;
}

static size_t count_ports(const struct host *host)
{
    return (size_t)host->last - host->first + 1;
}

static int read_entries(const struct config *config, struct host_list *hosts, struct error *error)
{
    struct port_range range = config_frontend_range(config);
    struct option_list list = config_list(config, "Balancer.hosts");
    size_t members = 0;
    hosts->items = calloc(list.count + 1, sizeof hosts->items[0]);
    if (hosts->items == NULL) {
        return error_set_errno(error, -ENOMEM, "cannot list the hosts");
    }
    for (; hosts->count < list.count; hosts->count++) {
        struct host *host = &hosts->items[hosts->count];
        host->first = range.first;
        host->last = range.last;
        int code = read_entry(str_from(list.items[hosts->count]), host, error);
        if (code < 0) {
            return code;
        }
        if (str_equal_nocase(str_from(host->name), STR("localhost"))) {
            host->address = hosts->here; /* RFC 6761 6.3: never asked for */
        }
        members += count_ports(host);
    }
    if (members > MEMBERS_MAX) {
        return error_set(error, -EINVAL,
                         "hosts and ports make %zu members; there may be %d at most", members,
                         MEMBERS_MAX);
    }
    return 0;
}

int host_list_read(const struct config *config, struct host_list *hosts, struct error *error)
{
    struct host_list list = {.interval = config_usec(config, "Balancer.resolve_interval")};
    int code = read_here(config, &list, error);
    if (code == 0) {
        code = read_entries(config, &list, error);
    }
    if (code < 0) {
        error_set_key(error, "Balancer.hosts");
        host_list_done(&list);
        return code;
    }
    *hosts = list;
    return 0;
}

void host_list_done(struct host_list *hosts)
{
    free(hosts->items);
    *hosts = (struct host_list){0};
}

/* ---- Names that were looked up ---- */

static int compare(const void *a, const void *b)
{
    struct ip first = {{0}};
    struct ip second = {{0}};
    address_to_ip(a, &first);
    address_to_ip(b, &second);
    return memcmp(&first, &second, sizeof first);
}

static bool is_loopback(const struct address *address)
{
    struct ip ip;
    return address_to_ip(address, &ip) && ip_is_loopback(&ip);
}

static bool is_ipv4(const struct address *address)
{
    return address->any.sa_family == AF_INET;
}

void lookup_settle(struct lookup *lookup, const struct address *here)
{
    unsigned ipv4 = 0;
    unsigned loopback = 0;
    for (unsigned i = 0; i < lookup->count; i++) {
        ipv4 += is_ipv4(&lookup->addresses[i]);
        loopback += is_loopback(&lookup->addresses[i]);
    }
    if (lookup->count > 0 && loopback == lookup->count) {
        lookup->count = 1;
        lookup->addresses[0] = *here;
        return;
    }
    qsort(lookup->addresses, lookup->count, sizeof lookup->addresses[0], compare);
    unsigned kept = 0;
    for (unsigned i = 0; i < lookup->count; i++) {
        const struct address *address = &lookup->addresses[i];
        bool is_again = kept > 0 && address_equal(address, &lookup->addresses[kept - 1]);
        if (!is_again && (ipv4 == 0 || is_ipv4(address))) {
            lookup->addresses[kept++] = *address;
        }
    }
    lookup->count = kept;
}

/* ---- Places ---- */

/* Where an address stands among the places, by open addressing; 0: free, else index + 1. The
 * addresses are the operator's, so a plain hash will do. */
enum { TABLE_SIZE = 4 * MEMBERS_MAX };
static_assert(MEMBERS_MAX < UINT16_MAX, "indexes are 16 bits");

struct draft {
    struct places *places;
    char (*names)[MEMBER_NAME_SIZE];
    uint16_t table[TABLE_SIZE];
};

static uint32_t hash(const struct address *address)
{
    struct ip ip = {{0}};
    uint32_t h = 2166136261U ^ address_port(address); /* FNV-1a */
    address_to_ip(address, &ip);
    for (size_t i = 0; i < sizeof ip.bytes; i++) {
        h = (h ^ ip.bytes[i]) * 16777619U;
    }
    return h ^ h >> 15;
}

/* Its entry in the table, or the free one where it belongs. */
static uint16_t *find_entry(struct draft *draft, const struct address *address)
{
    for (uint32_t i = hash(address);; i++) {
        uint16_t *entry = &draft->table[i % TABLE_SIZE];
        if (*entry == 0 || address_equal(&draft->places->items[*entry - 1].address, address)) {
            return entry;
        }
    }
}

static void name_member(char name[MEMBER_NAME_SIZE], const char *host, uint16_t port)
{
    bool is_ipv6 = strchr(host, ':') != NULL;
    snprintf(name, MEMBER_NAME_SIZE, is_ipv6 ? "[%.*s]:%u" : "%.*s:%u", HOST_NAME_SIZE, host,
             (unsigned)port);
}

static void add_place(struct draft *draft, const char *host, const struct address *address,
                      uint16_t port)
{
    struct places *places = draft->places;
    struct range_place place = {.address = *address};
    address_set_port(&place.address, port);
    uint16_t *entry = find_entry(draft, &place.address);
    if (*entry != 0) {
        if (places->duplicates++ == 0) {
            places->duplicate = places->items[*entry - 1].name;
        }
    } else if (places->count == MEMBERS_MAX) {
        places->excess++;
    } else {
        place.name = draft->names[places->count];
        name_member(draft->names[places->count], host, port);
        places->items[places->count++] = place;
        *entry = (uint16_t)places->count;
    }
}

static void add_ports(struct draft *draft, const struct host *host, const char *name,
                      const struct address *address)
{
    for (uint32_t port = host->first; port <= host->last; port++) {
        add_place(draft, name, address, (uint16_t)port);
    }
}

static void add_lookup(struct draft *draft, const struct host *host, const struct lookup *lookup)
{
    for (unsigned i = 0; i < lookup->count; i++) {
        char text[ADDRESS_TEXT_SIZE];
        address_format_host(&lookup->addresses[i], text);
        add_ports(draft, host, lookup->count == 1 ? host->name : text, &lookup->addresses[i]);
    }
}

static void add_host(struct draft *draft, const struct host *host, const struct lookup *known,
                     size_t known_count)
{
    if (host->address.len > 0) {
        add_ports(draft, host, host->name, &host->address);
        return;
    }
    for (size_t i = 0; i < known_count; i++) {
        if (strcmp(known[i].name, host->name) == 0) {
            add_lookup(draft, host, &known[i]);
            return;
        }
    }
}

struct places *places_new(const struct host_list *hosts, const struct lookup *known,
                          size_t known_count)
{
    /* One piece: the places, their names behind them. */
    struct draft *draft = calloc(1, sizeof *draft);
    struct places *places = calloc(
        1, sizeof *places + MEMBERS_MAX * (sizeof places->items[0] + sizeof draft->names[0]));
    if (draft == NULL || places == NULL) {
        free(draft);
        free(places);
        return NULL;
    }
    draft->places = places;
    draft->names = (void *)&places->items[MEMBERS_MAX];
    for (size_t i = 0; i < hosts->count; i++) {
        add_host(draft, &hosts->items[i], known, known_count);
    }
    free(draft);
    return places;
}

void places_free(struct places *places)
{
    free(places);
}

bool places_equal(const struct places *a, const struct places *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!address_equal(&a->items[i].address, &b->items[i].address) ||
            strcmp(a->items[i].name, b->items[i].name) != 0) {
            return false;
        }
    }
    return true;
}
