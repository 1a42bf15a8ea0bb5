/* SPDX-License-Identifier: Apache-2.0 */
/* Views of bytes. Pure functions, any thread. */
#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

enum { DISTANCE_MAX_LEN = 128 };

static char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool str_equal_nocase(struct str a, struct str b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

bool str_starts_with(struct str text, struct str prefix)
{
    return text.len >= prefix.len && str_equal(str_first(text, prefix.len), prefix);
}

bool str_ends_with(struct str text, struct str suffix)
{
    return text.len >= suffix.len && str_equal(str_skip(text, text.len - suffix.len), suffix);
}

struct str str_skip(struct str text, size_t n)
{
    if (n >= text.len) {
        n = text.len;
    }
    /* NULL + 0 is undefined in C; an empty view may be {NULL, 0}. */
    return (struct str){n == 0 ? text.data : text.data + n, text.len - n};
}

struct str str_first(struct str text, size_t n)
{
    return (struct str){text.data, n < text.len ? n : text.len};
}

size_t str_find(struct str text, char byte)
{
    const char *found = text.len == 0 ? NULL : memchr(text.data, byte, text.len);
    return found == NULL ? text.len : (size_t)(found - text.data);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str text)
{
    while (text.len > 0 && is_space(text.data[0])) {
        text = str_skip(text, 1);
    }
    while (text.len > 0 && is_space(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

bool str_split(struct str *rest, char separator, struct str *part)
{
    if (rest->data == NULL) {
        return false;
    }
    size_t end = str_find(*rest, separator);
    *part = str_first(*rest, end);
    *rest = end == rest->len ? (struct str){NULL, 0} : str_skip(*rest, end + 1);
    return true;
}

int str_to_uint64(struct str text, uint64_t *value)
{
    uint64_t sum = 0;
    if (text.len == 0) {
        return -EINVAL;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return -EINVAL;
        }
    }
    for (size_t i = 0; i < text.len; i++) {
        if (__builtin_mul_overflow(sum, (uint64_t)10, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(text.data[i] - '0'), &sum)) {
            return -ERANGE;
        }
    }
    *value = sum;
    return 0;
}

char *str_dup(struct str text)
{
    char *copy = malloc(text.len + 1);
    if (copy == NULL) {
        return NULL;
    }
    if (text.len > 0) {
        memcpy(copy, text.data, text.len);
    }
    copy[text.len] = '\0';
    return copy;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment over three rolling rows. */
unsigned str_distance(struct str a, struct str b, unsigned limit)
{
    unsigned rows[3][DISTANCE_MAX_LEN + 1];
    unsigned beyond = limit < UINT_MAX ? limit + 1 : limit;
    if (a.len > DISTANCE_MAX_LEN || b.len > DISTANCE_MAX_LEN) {
        return beyond;
    }
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i - 1) % 3];
        const unsigned *two_above = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = ascii_lower(a.data[i - 1]);
            char y = ascii_lower(b.data[j - 1]);
            unsigned best = least(above[j] + 1, row[j - 1] + 1);
            best = least(best, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == ascii_lower(b.data[j - 2]) &&
                ascii_lower(a.data[i - 2]) == y) {
                best = least(best, two_above[j - 2] + 1);
            }
            row[j] = best;
        }
    }
    unsigned distance = rows[a.len % 3][b.len];
    return distance <= limit ? distance : beyond;
}
