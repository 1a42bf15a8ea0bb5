/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/clock.h"
#include "config/option.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, 1024, 1 << 20);
}

static void teardown(void)
{
    arena_done(&arena);
}

TestSuite(value, .init = setup, .fini = teardown);

static int parse(enum option_type type, const char *text, struct value *value)
{
    const struct option option = {
        .key = "Some.key", .type = type, .choices = "open|approve|closed", .initial = "x"};
    struct error error;
    char hint[256] = "";
    return value_parse(&option, str_from(text), &arena, value, &error, hint);
}

#define expect_number(type, text, expected)                                                \
    do {                                                                                   \
        struct value parsed = {.number = -99};                                             \
        cr_expect_eq(parse(OPTION_##type, text, &parsed), 0, "%s", text);                  \
        cr_expect_eq(parsed.number, expected, "%s: %lld", text, (long long)parsed.number); \
    } while (0)

#define expect_refused(type, text)                                        \
    do {                                                                  \
        struct value parsed = {.number = -99};                            \
        cr_expect_lt(parse(OPTION_##type, text, &parsed), 0, "%s", text); \
        cr_expect_eq(parsed.number, -99, "%s changed the value", text);   \
    } while (0)

Test(value, bools)
{
    expect_number(BOOL, "true", 1);
    expect_number(BOOL, "Yes", 1);
    expect_number(BOOL, "Y", 1);
    expect_number(BOOL, "on", 1);
    expect_number(BOOL, "FALSE", 0);
    expect_number(BOOL, "no", 0);
    expect_number(BOOL, "n", 0);
    expect_number(BOOL, "off", 0);
    expect_refused(BOOL, "1");
    expect_refused(BOOL, "tru");
    expect_refused(BOOL, "");
}

Test(value, ints)
{
    expect_number(INT, "0", 0);
    expect_number(INT, "8080", 8080);
    expect_number(INT, "+5", 5);
    expect_number(INT, "-5", -5);
    expect_number(INT, "0x1F90", 8080);
    expect_refused(INT, "08");
    expect_refused(INT, "1.5");
    expect_refused(INT, "1e3");
    expect_refused(INT, "5 apples");
    expect_refused(INT, "0x");
    expect_refused(INT, "0xg");
    expect_refused(INT, "--5");
    expect_refused(INT, "");
}

Test(value, sizes)
{
    expect_number(SIZE, "65536", 65536);
    expect_number(SIZE, "512B", 512);
    expect_number(SIZE, "64KiB", 65536);
    expect_number(SIZE, "64 kib", 65536);
    expect_number(SIZE, "1.5MiB", 1572864);
    expect_number(SIZE, "2GiB", 2147483648LL);
    expect_refused(SIZE, "64KB");
    expect_refused(SIZE, "64K");
    expect_refused(SIZE, "KiB");
    expect_refused(SIZE, "-1");
    expect_refused(SIZE, "99999999999999999999");
    expect_refused(SIZE, "9999999999999GiB");
}

Test(value, durations)
{
    expect_number(DURATION, "10", 10 * USEC_PER_SEC);
    expect_number(DURATION, "0.5", 500 * USEC_PER_MSEC);
    expect_number(DURATION, "10s", 10 * USEC_PER_SEC);
    expect_number(DURATION, "500ms", 500 * USEC_PER_MSEC);
    expect_number(DURATION, "7us", 7);
    expect_number(DURATION, "2h", 2 * USEC_PER_HOUR);
    expect_number(DURATION, "1.5d", 36 * USEC_PER_HOUR);
    expect_number(DURATION, "1w", 7 * USEC_PER_DAY);
    expect_number(DURATION, "3 min", 3 * USEC_PER_MINUTE);
    expect_refused(DURATION, "10 parsecs");
    expect_refused(DURATION, "-1s");
    expect_refused(DURATION, "1h30m");
    expect_refused(DURATION, ".");
}

Test(value, addresses)
{
    expect_number(ADDRESS, "127.0.0.1", 0);
    expect_number(ADDRESS, "::", 0);
    expect_number(ADDRESS, "2001:db8::1", 0);
    expect_refused(ADDRESS, "localhost");
    expect_refused(ADDRESS, "[::1]");
    expect_refused(ADDRESS, "127.0.0.1:80");
    expect_refused(ADDRESS, "256.0.0.1");
    expect_refused(ADDRESS, "");
    expect_refused(ADDRESS, "1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111:2222");
}

Test(value, enums)
{
    expect_number(ENUM, "open", 0);
    expect_number(ENUM, "closed", 2);
    expect_refused(ENUM, "Open");
    expect_refused(ENUM, "clos");
}

Test(value, pem_blocks)
{
    expect_number(PEM, "-----BEGIN CERTIFICATE-----\n", 0);
    expect_refused(PEM, "/etc/ssl/cert.pem");
}

Test(value, lists)
{
    struct value value;
    cr_assert_eq(parse(OPTION_LIST, " a, b c ,d", &value), 0);
    cr_assert_eq(value.list.count, 3);
    cr_assert_str_eq(value.list.items[1], "b c");
    cr_assert_eq(parse(OPTION_LIST, "", &value), 0);
    cr_assert_eq(value.list.count, 0);
    cr_assert_eq(parse(OPTION_NETWORKS, "10.0.0.0/8, ::1, 2001:db8::/32", &value), 0);
    cr_assert_eq(value.list.count, 3);
    expect_refused(NETWORKS, "10.0.0.0/33");
    expect_refused(NETWORKS, "::/129");
    expect_refused(NETWORKS, "example.org");
    expect_refused(NETWORKS, "10.0.0.0/");
}

Test(value, lists_are_bounded)
{
    char text[2 * OPTION_LIST_MAX + 8];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = i % 2 == 0 ? 'a' : ',';
    }
    text[sizeof text - 1] = '\0';
    expect_refused(LIST, text);
}

Test(value, ranges_are_kept_at_both_ends)
{
    const struct option *option = option_find(STR("Frontend.max_queue_size"));
    struct error error;
    char hint[256] = "";
    struct value value;
    cr_assert_eq(value_parse(option, STR("1"), &arena, &value, &error, hint), 0);
    cr_assert_eq(value_parse(option, STR("9999"), &arena, &value, &error, hint), 0);
    cr_assert_eq(value_parse(option, STR("0"), &arena, &value, &error, hint), -ERANGE);
    cr_assert_eq(value_parse(option, STR("10000"), &arena, &value, &error, hint), -ERANGE);
    cr_assert_str_eq(hint, "from 1 to 9999");
}

Test(value, an_optional_number_may_be_empty)
{
    const struct option *option = option_find(STR("Frontend.port_max"));
    struct error error;
    char hint[256] = "";
    struct value value;
    cr_assert_eq(value_parse(option, STR(""), &arena, &value, &error, hint), 0);
    cr_assert(!value.is_set);
}

Test(value, numbers_are_written_as_they_are_read)
{
    char text[32];
    number_format(option_find(STR("Balancer.buffer")), 65536, text, sizeof text);
    cr_expect_str_eq(text, "64KiB");
    number_format(option_find(STR("Balancer.buffer")), 65537, text, sizeof text);
    cr_expect_str_eq(text, "65537B");
    number_format(option_find(STR("Balancer.head_timeout")), 90 * USEC_PER_SEC, text, sizeof text);
    cr_expect_str_eq(text, "90s");
    number_format(option_find(STR("Balancer.head_timeout")), 0, text, sizeof text);
    cr_expect_str_eq(text, "0");
}
