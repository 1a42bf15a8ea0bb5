/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text: what is understood, what is refused, what comes out. */
#include <criterion/criterion.h>
#include <errno.h>

#include "net/address.h"
#include "support/support.h"

Test(address, reads_what_it_writes)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"127.0.0.1:8080", "127.0.0.1:8080"},
        {"127.0.0.1", "127.0.0.1:99"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"255.255.255.255:65535", "255.255.255.255:65535"},
        {"[::1]:80", "[::1]:80"},
        {"[::1]", "[::1]:99"},
        {"::1", "[::1]:99"},
        {"::", "[::]:99"},
        {"[2001:DB8:0:0::1]:443", "[2001:db8::1]:443"},
        {"[::ffff:10.1.2.3]:7", "10.1.2.3:7"},
        {"::ffff:10.1.2.3", "10.1.2.3:99"},
        {"/run/portico.sock", "/run/portico.sock"},
        {"unix:/run/portico.sock", "/run/portico.sock"},
        {"unix:relative.sock", "relative.sock"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address address;
        struct error error;
        char text[ADDRESS_TEXT_SIZE];
        cr_assert_eq(address_parse(str_from(cases[i].in), 99, &address, &error), 0, "%s: %s",
                     cases[i].in, error.message);
        cr_assert_str_eq(address_format(&address, text), cases[i].out);
    }
}

Test(address, refuses_what_is_none)
{
    static const char *const bad[] = {
        "",          ":",           ":80",           "[]",          "[]:80",    "[::1",
        "::1]",      "[::1]80",     "[::1]:",        "[::1]:x",     "1.2.3:80", "1.2.3.4:",
        "1.2.3.4:x", "1.2.3.4:-1",  "1.2.3.4:65536", "1.2.3.4: 80", "1.2.3.4 ", "01.2.3.4",
        "localhost", "[1.2.3.4]:5", "1:2:3",         "unix:",       ":::",      "[::1]:99999999999",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct guarded guarded = guarded_copy(str_from(bad[i]));
        struct address address = {.len = 77};
        struct error error = {0};
        cr_assert_eq(address_parse(str_make(guarded.data, guarded.len), 1, &address, &error),
                     -EINVAL, "%s", bad[i]);
        cr_assert_eq(address.len, 77, "untouched on failure");
        cr_assert_neq(error.message[0], '\0');
        guarded_free(&guarded);
    }
}

Test(address, says_what_is_wrong)
{
    struct error error;
    struct address address;
    cr_assert_lt(address_parse(STR("1.2.3.4:http"), 1, &address, &error), 0);
    cr_assert_str_eq(error.message, "\"1.2.3.4:http\" is not an address: \"http\" is not a port");
}

Test(address, refuses_nul_and_long_paths)
{
    struct address address;
    char path[200];
    memset(path, 'x', sizeof path);
    cr_assert_eq(address_parse(STR("127.0.0.1\0:80"), 1, &address, NULL), -EINVAL);
    cr_assert_eq(address_from_path(STR("/run\0/x"), &address, NULL), -EINVAL);
    cr_assert_eq(address_from_path(str_make(path, 108), &address, NULL), -EINVAL);
    cr_assert_eq(address_from_path(str_make(path, 107), &address, NULL), 0);
    char text[ADDRESS_TEXT_SIZE];
    cr_assert_eq(strlen(address_format(&address, text)), 107);
}

static struct address parsed(const char *text)
{
    struct address address;
    cr_assert_eq(address_parse(str_from(text), 80, &address, NULL), 0);
    return address;
}

Test(address, equals_its_mapped_form)
{
    struct address a = parsed("10.0.0.1:80");
    struct address b = parsed("[::ffff:10.0.0.1]:80");
    struct address c = parsed("10.0.0.1:81");
    struct address d = parsed("/tmp/x");
    struct address e = parsed("/tmp/y");
    cr_assert(address_equal(&a, &b));
    cr_assert_not(address_equal(&a, &c));
    cr_assert_not(address_equal(&a, &d));
    cr_assert(address_equal(&d, &d));
    cr_assert_not(address_equal(&d, &e));
    char text[ADDRESS_TEXT_SIZE];
    cr_assert_str_eq(address_format_host(&b, text), "10.0.0.1");
    address_set_port(&b, 81);
    cr_assert(address_equal(&b, &c));
}

Test(address, knows_loopback_and_private)
{
    static const struct {
        const char *text;
        bool loopback, private;
    } cases[] = {
        {"127.0.0.1", true, true},    {"127.255.1.2", true, true},
        {"::1", true, true},          {"::ffff:127.9.9.9", true, true},
        {"10.1.1.1", false, true},    {"172.15.0.1", false, false},
        {"172.16.0.1", false, true},  {"172.31.255.255", false, true},
        {"172.32.0.1", false, false}, {"192.168.3.4", false, true},
        {"169.254.1.1", false, true}, {"fd12::1", false, true},
        {"fe80::1", false, true},     {"fec0::1", false, false},
        {"8.8.8.8", false, false},    {"2001:db8::1", false, false},
        {"::", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address address = parsed(cases[i].text);
        struct ip ip;
        cr_assert(address_to_ip(&address, &ip));
        cr_assert_eq(ip_is_loopback(&ip), cases[i].loopback, "%s", cases[i].text);
        cr_assert_eq(ip_is_private(&ip), cases[i].private, "%s", cases[i].text);
    }
}

Test(network, contains_what_shares_its_prefix)
{
    static const struct {
        const char *network, *ip;
        bool inside;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.2.3.4", true},
        {"0.0.0.0/0", "1.2.3.4", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "::1", true},
        {"::/0", "1.2.3.4", true},
        {"::1", "::1", true},
        {"::1", "::2", false},
        {"192.168.4.0/22", "192.168.7.255", true},
        {"192.168.4.0/22", "192.168.8.0", false},
        {"1.2.3.4", "1.2.3.4", true},
        {"1.2.3.4/32", "1.2.3.5", false},
        {"fe80::/10", "febf::1", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct network network;
        struct address address = parsed(cases[i].ip);
        struct ip ip;
        cr_assert_eq(network_parse(str_from(cases[i].network), &network, NULL), 0);
        cr_assert(address_to_ip(&address, &ip));
        cr_assert_eq(network_contains(&network, &ip), cases[i].inside, "%s in %s", cases[i].ip,
                     cases[i].network);
    }
}

Test(network, refuses_what_is_none)
{
    static const char *const bad[] = {"",           "/8",          "10.0.0.0/",    "10.0.0.0/33",
                                      "10.0.0.0/x", "10.0.0.1/8",  "::1/129",      "::1/64",
                                      "10.0.0/8",   "10.0.0.0/-1", "10.0.0.0/8/8", "hosts"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct network network;
        struct error error = {0};
        cr_assert_eq(network_parse(str_from(bad[i]), &network, &error), -EINVAL, "%s", bad[i]);
        cr_assert_neq(error.message[0], '\0');
    }
}
