/* SPDX-License-Identifier: Apache-2.0 */
/* The fields that say who the client is. */
#include "forward.h"

#include <arpa/inet.h>
#include <string.h>

/* ---- Texts ---- */

static size_t put_octet(char *out, unsigned octet)
{
    size_t len = 0;
    if (octet >= 100) {
        out[len++] = (char)('0' + octet / 100);
    }
    if (octet >= 10) {
        out[len++] = (char)('0' + octet / 10 % 10);
    }
    out[len++] = (char)('0' + octet % 10);
    return len;
}

/* inet_ntop() takes longer for an IPv4 address than the whole rest of a head. */
static size_t put_ip(char out[INET6_ADDRSTRLEN], const struct ip *ip)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(ip->bytes, mapped, sizeof mapped) != 0) {
        return inet_ntop(AF_INET6, ip->bytes, out, INET6_ADDRSTRLEN) == NULL ? 0 : strlen(out);
    }
    size_t len = 0;
    for (size_t i = sizeof mapped; i < sizeof ip->bytes; i++) {
        if (len > 0) {
            out[len++] = '.';
        }
        len += put_octet(out + len, ip->bytes[i]);
    }
    return len;
}

static void put_hex(char out[16], uint64_t number)
{
    for (unsigned i = 0; i < 16; i++) {
        out[i] = "0123456789abcdef"[number >> (60 - 4 * i) & 0xf];
    }
}

/* ---- Who the client is ---- */

static bool parse_ip(struct str text, struct ip *ip)
{
    struct address address;
    return address_from_host(text, 0, &address, NULL) == 0 && address_to_ip(&address, ip);
}

/* From the nearest to the farthest: as long as the one who speaks is trusted, the next one that it
 * names counts. */
static struct str find_client(const struct rules *rules, struct str list)
{
    struct str client = list;
    struct ip ip;
    while (list.len > 0) {
        size_t start = list.len;
        while (start > 0 && list.data[start - 1] != ',') {
            start--;
        }
        struct str part = str_trim(str_skip(list, start));
        if (!parse_ip(part, &ip)) {
            return client;
        }
        client = part;
        if (!rules_trust(rules, &ip)) {
            return client;
        }
        list = str_first(list, start == 0 ? 0 : start - 1);
    }
    return client;
}

/* Addresses, and what proxies write in place of them ("unknown", ports). Nothing that a reader of
 * lists could stumble over. */
static bool is_plain_list(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool is_fine = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       (c != '\0' && strchr(".:[], _-", c) != NULL);
        if (!is_fine) {
            return false;
        }
    }
    return true;
}

/* What trusted peers said comes first, in order; what does not fit or is no list is left out. */
static size_t copy_received(struct exchange *exchange, size_t most)
{
    const struct http1_head *head = &exchange->request.head;
    size_t len = 0;
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct http1_field *field = &head->fields[i];
        if (field->id != HTTP1_X_FORWARDED_FOR || field->value.len == 0 ||
            field->value.len + 2 > most - len || !is_plain_list(field->value)) {
            continue;
        }
        memcpy(exchange->client + len, field->value.data, field->value.len);
        len += field->value.len;
        memcpy(exchange->client + len, ", ", 2);
        len += 2;
    }
    return len;
}

static struct str forwarded_for(const struct forward_context *context, struct exchange *exchange,
                                bool is_trusted)
{
    size_t len = 0;
    if (is_trusted) {
        len = copy_received(exchange, sizeof exchange->client - INET6_ADDRSTRLEN);
    }
    size_t peer_at = len;
    len += put_ip(exchange->client + len, &context->peer);
    struct str all = str_make(exchange->client, len);
    exchange->client_name = peer_at == 0 ? all : find_client(context->rules, all);
    return all;
}

/* ---- The other fields ---- */

static bool is_id(struct str text)
{
    if (text.len == 0 || text.len >= REQUEST_ID_SIZE) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              c == '-' || c == '_' || c == '.' || c == ':')) {
            return false;
        }
    }
    return true;
}

static struct str request_id(const struct forward_context *context, struct exchange *exchange,
                             bool is_trusted)
{
    size_t len = 16;
    const struct http1_field *field =
        is_trusted ? http1_find(&exchange->request.head, HTTP1_X_REQUEST_ID) : NULL;
    if (field != NULL && is_id(field->value)) {
        len = field->value.len;
        memcpy(exchange->request_id, field->value.data, len);
    } else {
        put_hex(exchange->request_id, context->request_id);
    }
    exchange->request_id[len] = '\0';
    return str_make(exchange->request_id, len);
}

static struct str protocol(const struct forward_context *context, const struct exchange *exchange,
                           bool is_trusted)
{
    const struct http1_field *field =
        is_trusted ? http1_find(&exchange->request.head, HTTP1_X_FORWARDED_PROTO) : NULL;
    if (field != NULL && str_equal_nocase(field->value, STR("https"))) {
        return STR("https");
    }
    if (field != NULL && str_equal_nocase(field->value, STR("http"))) {
        return STR("http");
    }
    return context->is_tls ? STR("https") : STR("http");
}

/* Forwarded, X-Real-IP, X-Forwarded-Host and -Port pass from those whom we trust. */
static size_t pass_others(const struct exchange *exchange, struct http1_extra *extras, size_t count)
{
    const struct http1_head *head = &exchange->request.head;
    for (uint32_t i = 0; i < head->field_count && count < FORWARD_EXTRAS; i++) {
        const struct http1_field *field = &head->fields[i];
        if ((field->flags & HTTP1_FORWARDED_BY) != 0 && field->id != HTTP1_X_FORWARDED_FOR &&
            field->id != HTTP1_X_FORWARDED_PROTO && field->id != HTTP1_X_REQUEST_ID) {
            extras[count++] = (struct http1_extra){field->name, field->value};
        }
    }
    return count;
}

size_t forward_fields(const struct forward_context *context, struct exchange *exchange,
                      struct http1_extra extras[FORWARD_EXTRAS])
{
    bool is_trusted = rules_trust(context->rules, &context->peer);
    size_t count = 0;
    extras[count++] =
        (struct http1_extra){STR("X-Forwarded-For"), forwarded_for(context, exchange, is_trusted)};
    extras[count++] =
        (struct http1_extra){STR("X-Forwarded-Proto"), protocol(context, exchange, is_trusted)};
    extras[count++] =
        (struct http1_extra){STR("X-Request-Id"), request_id(context, exchange, is_trusted)};
    extras[count++] = (struct http1_extra){STR("Via"), str_from(context->via)};
    return is_trusted ? pass_others(exchange, extras, count) : count;
}

bool forward_is_loop(const struct http1_head *head, const char *via)
{
    struct str name = str_from(via);
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct http1_field *field = &head->fields[i];
        if (field->id == HTTP1_VIA && field->value.len >= name.len &&
            memmem(field->value.data, field->value.len, name.data, name.len) != NULL) {
            return true;
        }
    }
    return false;
}
