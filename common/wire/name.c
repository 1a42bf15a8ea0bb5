/* SPDX-License-Identifier: Apache-2.0 */
/* Names, sections 3 and 7. Pure functions, any thread. */
#include "wire/name.h"

#include <endian.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

/* Section 3: be32(length + 1), a zero byte whether or not the top bit is set, the modulus. */
static int hash_modulus(struct str modulus, uint8_t *digest)
{
    uint32_t length = htobe32((uint32_t)modulus.len + 1);
    unsigned size = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool fine = context != NULL && EVP_DigestInit_ex2(context, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(context, &length, sizeof length) == 1 &&
                EVP_DigestUpdate(context, "", 1) == 1 &&
                EVP_DigestUpdate(context, modulus.data, modulus.len) == 1 &&
                EVP_DigestFinal_ex(context, digest, &size) == 1;
    EVP_MD_CTX_free(context);
    return fine ? 0 : -EIO;
}

int client_id_from_modulus(struct str modulus, struct client_id *id)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    if (hash_modulus(modulus, digest) < 0) {
        return -EIO;
    }
    uint64_t number;
    memcpy(&number, digest, sizeof number);
    snprintf(id->text, sizeof id->text, "C.%016llx", (unsigned long long)be64toh(number));
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int client_id_parse(struct str text, struct client_id *id)
{
    if (text.len != CLIENT_ID_LEN || !str_starts_with(text, STR("C."))) {
        return -EINVAL;
    }
    for (size_t i = 2; i < CLIENT_ID_LEN; i++) {
        if (hex_digit(text.data[i]) < 0) {
            return -EINVAL;
        }
    }
    memcpy(id->text, text.data, CLIENT_ID_LEN);
    id->text[CLIENT_ID_LEN] = '\0';
    return 0;
}

uint64_t client_id_number(const struct client_id *id)
{
    uint64_t number = 0;
    for (size_t i = 2; i < CLIENT_ID_LEN; i++) {
        int digit = hex_digit(id->text[i]);
        CHECK(digit >= 0);
        number = number << 4 | (unsigned)digit;
    }
    return number;
}

static bool has_control(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static void drop_last(struct urn *urn)
{
    const char *slash = memrchr(urn->text, '/', urn->len);
    urn->len = slash == NULL ? 0 : (uint16_t)(slash - urn->text);
}

static int add_part(struct urn *urn, struct str part)
{
    size_t slash = urn->len > 0 ? 1 : 0;
    if (urn->len + slash + part.len >= sizeof urn->text) {
        return -ENAMETOOLONG;
    }
    if (slash > 0) {
        urn->text[urn->len++] = '/';
    }
    memcpy(urn->text + urn->len, part.data, part.len);
    urn->len = (uint16_t)(urn->len + part.len);
    return 0;
}

int urn_parse(struct str text, struct urn *urn)
{
    struct urn found = {.len = 0};
    struct str part;
    if (has_control(text)) {
        return -EINVAL;
    }
    if (str_starts_with(text, STR("aff4:/"))) {
        text = str_skip(text, sizeof "aff4:" - 1);
    }
    while (str_split(&text, '/', &part)) {
        if (part.len == 0 || str_equal(part, STR("."))) {
            continue;
        }
        if (str_equal(part, STR(".."))) {
            drop_last(&found);
        } else if (add_part(&found, part) < 0) {
            return -ENAMETOOLONG;
        }
    }
    if (found.len == 0) {
        return -EINVAL;
    }
    found.text[found.len] = '\0';
    *urn = found;
    return 0;
}

static struct str last_part(struct str path)
{
    const char *slash = memrchr(path.data, '/', path.len);
    return slash == NULL ? path : str_skip(path, (size_t)(slash - path.data) + 1);
}

static struct str first_part(struct str path)
{
    return str_first(path, str_find(path, '/'));
}

/* Looks like a client id, upper-case digits included. */
static bool is_like_client_id(struct str text)
{
    struct client_id id;
    char lower[CLIENT_ID_LEN];
    if (text.len != CLIENT_ID_LEN) {
        return false;
    }
    for (size_t i = 0; i < CLIENT_ID_LEN; i++) {
        char c = text.data[i];
        lower[i] = i > 0 && c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
    }
    return client_id_parse(str_make(lower, sizeof lower), &id) == 0;
}

int client_id_from_source(struct str source, struct client_id *id)
{
    struct urn urn;
    if (urn_parse(source, &urn) < 0 || !is_like_client_id(last_part(urn_str(&urn)))) {
        return -EINVAL;
    }
    return client_id_parse(urn_str(&urn), id) < 0 ? -ENOENT : 0;
}

static const struct {
    const char *session;
    const char *name;
} handlers[WIRE_HANDLER_COUNT] = {
#define WIRE_HANDLER(id, session, name) [WIRE_HANDLER_##id] = {"aff4:/flows/" session, name},
#include "wire/wire_handlers.def"
#undef WIRE_HANDLER
};

const char *wire_handler_name(enum wire_handler handler)
{
    CHECK(handler < WIRE_HANDLER_COUNT);
    return handlers[handler].name;
}

const char *wire_handler_session(enum wire_handler handler)
{
    CHECK(handler < WIRE_HANDLER_COUNT);
    return handlers[handler].session;
}

static bool find_handler(struct str path, struct recipient *address)
{
    for (unsigned i = 0; i < WIRE_HANDLER_COUNT; i++) {
        if (str_equal(path, str_from(handlers[i].session + sizeof "aff4:/" - 1))) {
            address->handler = (enum wire_handler)i;
            return true;
        }
    }
    return false;
}

int recipient_parse(struct str session_id, struct recipient *address)
{
    struct urn urn;
    struct recipient found = {.is_flow = false};
    if (urn_parse(session_id, &urn) < 0) {
        return -EINVAL;
    }
    struct str path = urn_str(&urn);
    if (find_handler(path, &found)) {
        *address = found;
        return 0;
    }
    /* Section 7: the first component is the agent, the last one the flow, with or without "flows"
     * and parents between them. */
    struct str flow = last_part(path);
    if (client_id_parse(first_part(path), &found.client) < 0 || flow.len == path.len ||
        flow.len > FLOW_ID_BYTES_MAX) {
        return -EINVAL;
    }
    found.is_flow = true;
    memcpy(found.flow, flow.data, flow.len);
    *address = found;
    return 0;
}
