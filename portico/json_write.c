/* SPDX-License-Identifier: Apache-2.0 */
/* JSON on a stream. The printing command's thread. */
#include "json_write.h"

#include "base/check.h"
#include "base/utf8.h"

void json_begin(struct json_writer *json, FILE *out)
{
    *json = (struct json_writer){.out = out};
}

static void put_key(struct json_writer *json, const char *key)
{
    if (json->depth > 0 && json->has_items[json->depth - 1]) {
        fputc(',', json->out);
    }
    if (json->depth == 1) {
        fputc('\n', json->out);
    } else if (json->depth > 0 && json->has_items[json->depth - 1]) {
        fputc(' ', json->out);
    }
    if (json->depth > 0) {
        json->has_items[json->depth - 1] = true;
    }
    if (key != NULL) {
        fprintf(json->out, "\"%s\": ", key);
    }
}

void json_open(struct json_writer *json, const char *key, char bracket)
{
    CHECK(json->depth < JSON_DEPTH_MAX);
    put_key(json, key);
    fputc(bracket, json->out);
    json->has_items[json->depth++] = false;
}

void json_close(struct json_writer *json, char bracket)
{
    CHECK(json->depth > 0);
    json->depth--;
    if (json->depth == 0 && json->has_items[0]) {
        fputc('\n', json->out);
    }
    fputc(bracket, json->out);
    if (json->depth == 0) {
        fputc('\n', json->out);
    }
}

/* Of the two- and three-byte sequences that utf8_steers_terminal() names. */
static unsigned code_point(const unsigned char *bytes, size_t len)
{
    return len == 2 ? (bytes[0] & 0x1fU) << 6 | (bytes[1] & 0x3fU)
                    : (bytes[0] & 0x0fU) << 12 | (bytes[1] & 0x3fU) << 6 | (bytes[2] & 0x3fU);
}

/* Bytes taken. */
static size_t put_character(FILE *out, struct str text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    size_t len = utf8_sequence(text);
    if (len > 1 && utf8_steers_terminal(bytes)) {
        fprintf(out, "\\u%04x", code_point(bytes, len));
    } else if (len > 1) {
        fwrite(bytes, 1, len, out);
    } else if (bytes[0] == '"' || bytes[0] == '\\') {
        fprintf(out, "\\%c", bytes[0]);
    } else if (bytes[0] >= 0x20 && bytes[0] < 0x7f) {
        fputc(bytes[0], out);
    } else {
        fprintf(out, "\\u%04x", bytes[0]);
    }
    return len == 0 ? 1 : len;
}

void json_put_str(struct json_writer *json, const char *key, struct str text)
{
    put_key(json, key);
    fputc('"', json->out);
    while (text.len > 0) {
        text = str_skip(text, put_character(json->out, text));
    }
    fputc('"', json->out);
}

void json_put_known(struct json_writer *json, const char *key, struct str text)
{
    if (text.len == 0) {
        json_put_null(json, key);
    } else {
        json_put_str(json, key, text);
    }
}

void json_put_hex(struct json_writer *json, const char *key, struct str bytes)
{
    static const char digits[] = "0123456789abcdef";
    put_key(json, key);
    fputc('"', json->out);
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        putc_unlocked(digits[byte >> 4], json->out);
        putc_unlocked(digits[byte & 15], json->out);
    }
    fputc('"', json->out);
}

void json_put_uint(struct json_writer *json, const char *key, uint64_t number)
{
    put_key(json, key);
    fprintf(json->out, "%llu", (unsigned long long)number);
}

void json_put_time(struct json_writer *json, const char *key, usec_t time)
{
    if (time <= 0) {
        json_put_null(json, key);
    } else {
        json_put_uint(json, key, (uint64_t)time);
    }
}

void json_put_bool(struct json_writer *json, const char *key, bool value)
{
    put_key(json, key);
    fputs(value ? "true" : "false", json->out);
}

void json_put_null(struct json_writer *json, const char *key)
{
    put_key(json, key);
    fputs("null", json->out);
}
