/* SPDX-License-Identifier: Apache-2.0 */
#include "rules_of.h"

static struct ip ip_of(const char *text)
{
    struct address address;
    struct ip ip;
    cr_assert_eq(address_from_host(str_from(text), 0, &address, NULL), 0);
    cr_assert(address_to_ip(&address, &ip));
    return ip;
}

static bool trusts(const struct rules *rules, const char *address)
{
    struct ip ip = ip_of(address);
    return rules_trust(rules, &ip);
}

Test(rules, trust_nobody_unless_told)
{
    struct rules *rules = RULES_OF("Balancer.threads=1");
    cr_assert(!trusts(rules, "127.0.0.1"));
    cr_assert(!trusts(rules, "::1"));
    rules_unref(rules);
}

Test(rules, trust_the_networks_of_the_configuration)
{
    struct rules *rules = RULES_OF("Balancer.trusted_proxies=10.0.0.0/8, fd00::/16");
    cr_assert(trusts(rules, "10.200.3.4"));
    cr_assert(trusts(rules, "::ffff:10.200.3.4"));
    cr_assert(trusts(rules, "fd00::5"));
    cr_assert(!trusts(rules, "11.0.0.1"));
    cr_assert(!trusts(rules, "fd01::5"));
    rules_unref(rules);
}

Test(rules, zero_means_no_limit_of_bodies)
{
    struct rules *rules = RULES_OF("Balancer.max_body=0");
    cr_assert_eq(rules->max_body_bytes, UINT64_MAX);
    rules_unref(rules);
}

Test(rules, repeat_what_is_idempotent_and_polls)
{
    static const struct {
        enum http1_method method;
        const char *target;
        bool may_repeat;
    } cases[] = {
        {HTTP1_GET, "/anything", true},
        {HTTP1_HEAD, "/anything", true},
        {HTTP1_PUT, "/anything", true},
        {HTTP1_DELETE, "/anything", true},
        {HTTP1_OPTIONS, "/anything", true},
        {HTTP1_POST, "/anything", false},
        {HTTP1_PATCH, "/control", true},
        {HTTP1_METHOD_OTHER, "/anything", false},
        {HTTP1_POST, "/control", true},
        {HTTP1_POST, "/control?api=3", true},
        {HTTP1_POST, "/prefix/control?api=3", true},
        {HTTP1_POST, "/mycontrol", false},
        {HTTP1_POST, "/control/", false},
        {HTTP1_POST, "/other?x=/control", false},
        {HTTP1_POST, "", false},
    };
    struct rules *rules = RULES_OF("Balancer.threads=1");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cr_assert_eq(rules_may_repeat(rules, cases[i].method, str_from(cases[i].target)),
                     cases[i].may_repeat, "%d %s", cases[i].method, cases[i].target);
    }
    rules_unref(rules);
}

Test(rules, repeat_the_paths_of_the_configuration)
{
    struct rules *rules = RULES_OF("Balancer.repeat_paths=poll, /a/b");
    cr_assert(rules_may_repeat(rules, HTTP1_POST, STR("/x/poll")));
    cr_assert(rules_may_repeat(rules, HTTP1_POST, STR("/x/a/b")));
    cr_assert(!rules_may_repeat(rules, HTTP1_POST, STR("/control")));
    cr_assert(!rules_may_repeat(rules, HTTP1_POST, STR("/x/nopoll")));
    rules_unref(rules);
}
