/* SPDX-License-Identifier: Apache-2.0 */
/* URLs, and whose they are. */
#include <criterion/criterion.h>
#include <errno.h>

#include "target.h"

static struct target target;

static int parse(const char *url)
{
    return target_parse(str_from(url), &target, NULL);
}

Test(target, a_url_comes_apart)
{
    cr_assert_eq(parse("http://127.0.0.1:8080/prefix/?a=b"), 0);
    cr_expect_str_eq(target.host, "127.0.0.1");
    cr_expect_str_eq(target.authority, "127.0.0.1:8080");
    cr_expect_str_eq(target.path, "/prefix/?a=b");
    cr_expect_eq(address_port(&target.address), 8080);
    cr_expect(!target.is_tls && target.is_loopback);
}

Test(target, what_is_left_out_is_usual)
{
    cr_assert_eq(parse("https://[::1]"), 0);
    cr_expect_str_eq(target.path, "/");
    cr_expect_str_eq(target.host, "::1");
    cr_expect_str_eq(target.authority, "[::1]");
    cr_expect_eq(address_port(&target.address), 443);
    cr_expect(target.is_tls && target.is_loopback);
    cr_assert_eq(parse("http://10.0.0.1"), 0);
    cr_expect_eq(address_port(&target.address), 80);
}

Test(target, what_is_no_url_is_refused)
{
    static const char *const wrong[] = {"",
                                        "127.0.0.1",
                                        "ftp://127.0.0.1/",
                                        "http://",
                                        "http:///x",
                                        "http://127.0.0.1:0/",
                                        "http://[::1",
                                        "http://[::1]x/",
                                        "http://127.0.0.1:99999/",
                                        "http://127.0.0.1/a b",
                                        "http://127.0.0.1/\r\nX: y"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_expect_eq(parse(wrong[i]), -EINVAL, "%s", wrong[i]);
    }
}

Test(target, only_loopback_and_private_addresses_are_ours)
{
    static const char *const ours[] = {
        "http://127.0.0.1/",  "http://127.9.9.9/",   "http://[::1]/",    "http://10.1.2.3/",
        "http://172.16.0.1/", "http://192.168.1.1/", "http://[fd00::1]/"};
    static const char *const others[] = {"http://8.8.8.8/", "http://172.32.0.1/",
                                         "http://192.0.2.1/", "http://[2001:db8::1]/"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        cr_assert_eq(parse(ours[i]), 0, "%s", ours[i]);
        cr_expect(target_is_ours(&target), "%s", ours[i]);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        cr_assert_eq(parse(others[i]), 0, "%s", others[i]);
        cr_expect(!target_is_ours(&target), "%s", others[i]);
    }
}
