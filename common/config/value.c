/* SPDX-License-Identifier: Apache-2.0 */
/* Text into values: one small parser for each type of option. Any thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "config/option.h"

enum { HINT_SIZE = 256, FRACTION_DIGITS = 6 };

struct unit {
    const char *name;
    int64_t factor;
};

/* Decimal units are refused rather than guessed at: some people mean 1000, some 1024. */
static const struct unit size_units[] = {
    {"", 1}, {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
};
static const struct unit duration_units[] = {
    {"", USEC_PER_SEC},      {"us", 1},
    {"ms", USEC_PER_MSEC},   {"s", USEC_PER_SEC},
    {"m", USEC_PER_MINUTE},  {"min", USEC_PER_MINUTE},
    {"h", USEC_PER_HOUR},    {"d", USEC_PER_DAY},
    {"w", 7 * USEC_PER_DAY},
};

#define SHOWN(text) (int)((text).len > 60 ? 60 : (text).len), (text).data

static int refuse(const struct option *option, struct str text, struct error *error)
{
    if (text.len == 0) {
        return error_set(error, -EINVAL, "%s is empty; it wants %s", option->key,
                         option_type_words(option->type));
    }
    return error_set(error, -EINVAL, "%s wants %s, not \"%.*s\"", option->key,
                     option_type_words(option->type), SHOWN(text));
}

static int check_range(const struct option *option, struct str text, int64_t number,
                       struct error *error, char *hint)
{
    if ((option->min == 0 && option->max == 0) ||
        (number >= option->min && number <= option->max)) {
        return 0;
    }
    char low[32];
    char high[32];
    number_format(option, option->min, low, sizeof low);
    number_format(option, option->max, high, sizeof high);
    snprintf(hint, HINT_SIZE, "from %s to %s", low, high);
    return error_set(error, -ERANGE, "%s: %.*s is %s", option->key, SHOWN(text),
                     number < option->min ? "too small" : "too large");
}

static int parse_bool(const struct option *option, struct str text, int64_t *number,
                      struct error *error, char *hint)
{
    static const char *const words[] = {"false", "no", "n", "off", "true", "yes", "y", "on"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_equal_nocase(text, str_from(words[i]))) {
            *number = i >= ARRAY_LEN(words) / 2;
            return 0;
        }
    }
    if (str_equal(text, STR("1")) || str_equal(text, STR("0"))) {
        snprintf(hint, HINT_SIZE, "write %s", text.data[0] == '1' ? "true" : "false");
    }
    return refuse(option, text, error);
}

/* Decimal, or hexadecimal with 0x. A leading zero means octal to YAML and nothing to most people,
 * so it is refused. */
static int parse_int(const struct option *option, struct str text, int64_t *number,
                     struct error *error, char *hint)
{
    bool is_negative = str_starts_with(text, STR("-"));
    struct str digits = is_negative || str_starts_with(text, STR("+")) ? str_skip(text, 1) : text;
    uint64_t value = 0;
    if (digits.len > 1 && digits.data[0] == '0' && digits.data[1] != 'x') {
        snprintf(hint, HINT_SIZE, "a leading zero would mean an octal number; leave it out");
        return refuse(option, text, error);
    }
    int code = 0;
    if (str_starts_with(digits, STR("0x")) && digits.len > 2 && digits.len <= 17) {
        char copy[20];
        char *end;
        snprintf(copy, sizeof copy, "%.*s", STR_ARG(digits));
        value = strtoull(copy, &end, 16);
        code = *end == '\0' ? 0 : -EINVAL;
    } else {
        code = str_to_uint64(digits, &value);
    }
    if (code == -EINVAL) {
        return refuse(option, text, error);
    }
    if (code == -ERANGE || value > INT64_MAX) {
        value = INT64_MAX;
    }
    int64_t result = is_negative ? -(int64_t)value : (int64_t)value;
    code = check_range(option, text, result, error, hint);
    if (code == 0) {
        *number = result;
    }
    return code;
}

/* How many leading characters are digits. */
static size_t digits_len(struct str text)
{
    size_t len = 0;
    while (len < text.len && text.data[len] >= '0' && text.data[len] <= '9') {
        len++;
    }
    return len;
}

/* whole.fraction × factor, rounded down. -ERANGE: too large. */
static int scale(struct str whole, struct str fraction, int64_t factor, int64_t *number)
{
    uint64_t value = 0;
    int64_t sum;
    if (str_to_uint64(whole, &value) < 0 || value > INT64_MAX ||
        __builtin_mul_overflow((int64_t)value, factor, &sum)) {
        return -ERANGE;
    }
    int64_t part = 0;
    int64_t weight = 1;
    for (size_t i = 0; i < fraction.len && i < FRACTION_DIGITS; i++) {
        part = part * 10 + (fraction.data[i] - '0');
        weight *= 10;
    }
    /* Up to 10^6 times the largest factor, a week in microseconds, stays below 2^63. */
    if (__builtin_add_overflow(sum, part * factor / weight, &sum)) {
        return -ERANGE;
    }
    *number = sum;
    return 0;
}

static const struct unit *find_unit(const struct unit *units, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal_nocase(name, str_from(units[i].name))) {
            return &units[i];
        }
    }
    return NULL;
}

static int parse_quantity(const struct option *option, struct str text, const struct unit *units,
                          size_t count, int64_t *number, struct error *error, char *hint)
{
    struct str whole = str_first(text, digits_len(text));
    struct str rest = str_skip(text, whole.len);
    struct str fraction = {"", 0};
    if (str_starts_with(rest, STR("."))) {
        fraction = str_first(str_skip(rest, 1), digits_len(str_skip(rest, 1)));
        rest = str_skip(rest, 1 + fraction.len);
    }
    const struct unit *unit = find_unit(units, count, str_trim(rest));
    if (whole.len == 0 || unit == NULL) {
        snprintf(hint, HINT_SIZE, "units are %s",
                 option->type == OPTION_SIZE ? "B, KiB, MiB, GiB" : "us, ms, s, m, h, d, w");
        return refuse(option, text, error);
    }
    int64_t result = INT64_MAX;
    if (scale(whole, fraction, unit->factor, &result) < 0 && option->max == 0) {
        return error_set(error, -ERANGE, "%s: %.*s is too large", option->key, SHOWN(text));
    }
    int code = check_range(option, text, result, error, hint);
    if (code == 0) {
        *number = result;
    }
    return code;
}

static bool is_address(struct str text)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char address[16];
    if (text.len >= sizeof copy || memchr(text.data, '\0', text.len) != NULL) {
        return false;
    }
    snprintf(copy, sizeof copy, "%.*s", STR_ARG(text));
    return inet_pton(AF_INET, copy, address) == 1 || inet_pton(AF_INET6, copy, address) == 1;
}

static int parse_address(const struct option *option, struct str text, struct error *error,
                         char *hint)
{
    if (text.len > 0 && is_address(text)) {
        return 0;
    }
    if (str_equal(text, STR("localhost"))) {
        snprintf(hint, HINT_SIZE, "names are not looked up; write 127.0.0.1 or ::1");
    } else if (str_equal(text, STR("*"))) {
        snprintf(hint, HINT_SIZE, "all addresses are ::");
    } else if (str_starts_with(text, STR("["))) {
        snprintf(hint, HINT_SIZE, "write it without brackets");
    }
    return refuse(option, text, error);
}

static bool is_network(struct str text)
{
    size_t slash = str_find(text, '/');
    struct str address = str_first(text, slash);
    uint64_t bits = 0;
    if (address.len == 0 || !is_address(address)) {
        return false;
    }
    return slash == text.len || (str_to_uint64(str_skip(text, slash + 1), &bits) == 0 &&
                                 bits <= (str_find(address, ':') < address.len ? 128U : 32U));
}

static int parse_enum(const struct option *option, struct str text, int64_t *number,
                      struct error *error, char *hint)
{
    struct str best = {"", 0};
    unsigned best_distance = 3;
    struct str choice;
    for (size_t i = 0; (choice = option_choice(option, i)).len > 0; i++) {
        if (str_equal(text, choice)) {
            *number = (int64_t)i;
            return 0;
        }
        unsigned distance = str_distance(text, choice, best_distance);
        if (distance < best_distance && distance < choice.len) {
            best = choice;
            best_distance = distance;
        }
    }
    int used = best.len > 0 ? snprintf(hint, HINT_SIZE, "did you mean %.*s? ", STR_ARG(best)) : 0;
    used += snprintf(hint + used, HINT_SIZE - (size_t)used, "it takes ");
    for (size_t i = 0; (choice = option_choice(option, i)).len > 0 && used < HINT_SIZE; i++) {
        used += snprintf(hint + used, HINT_SIZE - (size_t)used, "%s%.*s", i == 0 ? "" : ", ",
                         STR_ARG(choice));
    }
    return error_set(error, -EINVAL, "%s does not know \"%.*s\"", option->key, SHOWN(text));
}

/* What is inside is looked at where the keys are checked. */
static int parse_pem(const struct option *option, struct str text, struct error *error, char *hint)
{
    if (str_starts_with(text, STR("-----BEGIN "))) {
        return 0;
    }
    if (str_starts_with(text, STR("/")) || str_ends_with(text, STR(".pem"))) {
        snprintf(hint, HINT_SIZE, "to read a file write \"%%(FILE|file)\"");
    } else {
        snprintf(hint, HINT_SIZE, "a PEM block starts with -----BEGIN");
    }
    /* Not quoted: it may be a key. */
    return error_set(error, -EINVAL, "%s is no PEM block", option->key);
}

static int parse_number(const struct option *option, struct str text, int64_t *number,
                        struct error *error, char *hint)
{
    switch (option->type) {
    case OPTION_BOOL:
        return parse_bool(option, text, number, error, hint);
    case OPTION_INT:
    case OPTION_PORT:
        return parse_int(option, text, number, error, hint);
    case OPTION_SIZE:
        return parse_quantity(option, text, size_units, ARRAY_LEN(size_units), number, error, hint);
    case OPTION_DURATION:
        return parse_quantity(option, text, duration_units, ARRAY_LEN(duration_units), number,
                              error, hint);
    case OPTION_ENUM:
        return parse_enum(option, text, number, error, hint);
    case OPTION_ADDRESS:
        return parse_address(option, text, error, hint);
    case OPTION_PEM:
        return parse_pem(option, text, error, hint);
    case OPTION_PATH:
    case OPTION_STRING:
    case OPTION_LIST:
    case OPTION_NETWORKS:
        break;
    }
    if (memchr(text.data == NULL ? "" : text.data, '\0', text.len) != NULL) {
        return error_set(error, -EINVAL, "%s contains a NUL character", option->key);
    }
    return 0;
}

static int split_list(const struct option *option, struct str text, struct arena *arena,
                      struct value *value, struct error *error, char *hint)
{
    struct str items[OPTION_LIST_MAX];
    size_t count = 0;
    struct str rest = text;
    struct str part;
    while (text.len > 0 && str_split(&rest, ',', &part)) {
        if (count == OPTION_LIST_MAX) {
            return error_set(error, -E2BIG, "%s has more than %d items", option->key,
                             OPTION_LIST_MAX);
        }
        items[count++] = str_trim(part);
    }
    return value_from_items(option, items, count, arena, value, error, hint);
}

int value_parse(const struct option *option, struct str text, struct arena *arena,
                struct value *value, struct error *error, char hint[256])
{
    int64_t number = 0;
    if (option_is_list(option)) {
        return split_list(option, text, arena, value, error, hint);
    }
    bool may_be_empty = option->type == OPTION_STRING || option->type == OPTION_PATH;
    if (text.len == 0 && (may_be_empty || option->initial == NULL)) {
        *value = (struct value){.is_set = may_be_empty, .text = ""};
        return 0;
    }
    int code = parse_number(option, text, &number, error, hint);
    if (code < 0) {
        return code;
    }
    const char *copy = arena_strdup(arena, text);
    if (copy == NULL) {
        return -ENOMEM;
    }
    *value = (struct value){.is_set = true, .number = number, .text = copy};
    return 0;
}

int value_from_items(const struct option *option, const struct str *items, size_t count,
                     struct arena *arena, struct value *value, struct error *error, char hint[256])
{
    const char **list = arena_calloc(arena, count, sizeof *list);
    if (list == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        if (option->type == OPTION_NETWORKS && !is_network(items[i])) {
            snprintf(hint, HINT_SIZE, "write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32");
            return error_set(error, -EINVAL, "%s: \"%.*s\" is no IP address or network",
                             option->key, SHOWN(items[i]));
        }
        list[i] = arena_strdup(arena, items[i]);
        if (list[i] == NULL) {
            return -ENOMEM;
        }
    }
    *value = (struct value){.is_set = true, .text = "", .list = {list, count}};
    return 0;
}

/* The largest unit that divides it, so nothing is lost. */
static int format_with(const struct unit *units, size_t count, int64_t number, char *out,
                       size_t size)
{
    const struct unit *best = &units[1]; /* the one with factor 1 that has a name */
    for (size_t i = 2; i < count; i++) {
        if (number % units[i].factor == 0 && units[i].factor > best->factor) {
            best = &units[i];
        }
    }
    return snprintf(out, size, "%lld%s", (long long)(number / best->factor), best->name);
}

int number_format(const struct option *option, int64_t number, char *out, size_t size)
{
    if (option->type == OPTION_SIZE && number != 0) {
        return format_with(size_units, ARRAY_LEN(size_units), number, out, size);
    }
    if (option->type == OPTION_DURATION && number != 0) {
        return format_with(duration_units, ARRAY_LEN(duration_units), number, out, size);
    }
    return snprintf(out, size, "%lld", (long long)number);
}
