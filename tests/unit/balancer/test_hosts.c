/* SPDX-License-Identifier: Apache-2.0 */
/* What Balancer.hosts means. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "balancer_config.h"
#include "hosts.h"

static struct lookup known[4];
static size_t known_count;

static void know(const char *name, const char *addresses, const struct address *here)
{
    struct lookup *lookup = &known[known_count++];
    struct str rest = str_from(addresses);
    struct str one;
    snprintf(lookup->name, sizeof lookup->name, "%s", name);
    while (str_split(&rest, ' ', &one)) {
        cr_assert_eq(address_from_host(one, 0, &lookup->addresses[lookup->count++], NULL), 0);
    }
    lookup_settle(lookup, here);
}

/* "NAME=ADDRESS NAME=ADDRESS ..." of all places. */
static char *describe(const struct host_list *hosts)
{
    static char text[4096];
    size_t len = 0;
    struct places *places = places_new(hosts, known, known_count);
    text[0] = '\0';
    for (size_t i = 0; i < places->count; i++) {
        char address[ADDRESS_TEXT_SIZE];
        len += snprintf(text + len, sizeof text - len, "%s%s=%s", i == 0 ? "" : " ",
                        places->items[i].name, address_format(&places->items[i].address, address));
    }
    places_free(places);
    return text;
}

static char *places_of(const char *hosts, const char *bound, const char *first, const char *last)
{
    struct host_list list;
    struct error error = {0};
    struct config *config = hosts_config(hosts, bound, first, last);
    cr_assert_eq(host_list_read(config, &list, &error), 0, "%s", error.message);
    known_count = 0;
    memset(known, 0, sizeof known);
    know("one.test", "192.0.2.1", &list.here);
    know("two.test", "192.0.2.9 2001:db8::1 192.0.2.3 192.0.2.9", &list.here);
    know("six.test", "2001:db8::6", &list.here);
    know("this.test", "127.0.1.1 ::1", &list.here);
    char *text = describe(&list);
    host_list_done(&list);
    config_unref(config);
    return text;
}

Test(hosts, are_this_machine_by_default)
{
    cr_assert_str_eq(places_of(NULL, NULL, "8080", "8082"),
                     "localhost:8080=127.0.0.1:8080 localhost:8081=127.0.0.1:8081 "
                     "localhost:8082=127.0.0.1:8082");
}

Test(hosts, are_where_the_instances_of_this_machine_bind)
{
    static const char *const cases[][2] = {
        {"::", "localhost:80=127.0.0.1:80"},        {"0.0.0.0", "localhost:80=127.0.0.1:80"},
        {"127.0.0.1", "localhost:80=127.0.0.1:80"}, {"::1", "localhost:80=[::1]:80"},
        {"10.1.2.3", "localhost:80=10.1.2.3:80"},
    };
    for (size_t i = 0; i < 5; i++) {
        cr_assert_str_eq(places_of(NULL, cases[i][0], "80", "80"), cases[i][1]);
    }
    cr_assert_str_eq(places_of("this.test", "::1", "80", "80"), "this.test:80=[::1]:80");
    cr_assert_str_eq(places_of("this.test", "::", "80", "80"), "this.test:80=127.0.0.1:80");
}

Test(hosts, may_be_names_and_numbers_of_either_family)
{
    cr_assert_str_eq(
        places_of("one.test, 192.0.2.7, 2001:db8::7, [2001:db8::8], six.test", NULL, "80", "80"),
        "one.test:80=192.0.2.1:80 192.0.2.7:80=192.0.2.7:80 "
        "[2001:db8::7]:80=[2001:db8::7]:80 [2001:db8::8]:80=[2001:db8::8]:80 "
        "six.test:80=[2001:db8::6]:80");
}

Test(hosts, may_name_one_port)
{
    cr_assert_str_eq(places_of("one.test:81,[::1]:82,10.0.0.1:83", NULL, "8080", "8089"),
                     "one.test:81=192.0.2.1:81 [::1]:82=[::1]:82 10.0.0.1:83=10.0.0.1:83");
}

Test(hosts, with_several_addresses_are_several_machines_in_a_steady_order)
{
    cr_assert_str_eq(places_of("two.test", NULL, "80", "80"),
                     "192.0.2.3:80=192.0.2.3:80 192.0.2.9:80=192.0.2.9:80");
}

Test(hosts, that_are_not_known_have_no_places)
{
    cr_assert_str_eq(places_of("other.test,one.test", NULL, "80", "80"),
                     "one.test:80=192.0.2.1:80");
}

Test(hosts, count_once)
{
    struct host_list list;
    struct config *config =
        hosts_config("localhost,127.0.0.1,10.0.0.1,10.0.0.1:81,::ffff:10.0.0.1", NULL, "80", "82");
    cr_assert_eq(host_list_read(config, &list, NULL), 0);
    struct places *places = places_new(&list, NULL, 0);
    cr_assert_eq(places->count, 6);
    cr_assert_eq(places->duplicates, 7);
    cr_assert_str_eq(places->duplicate, "localhost:80");
    places_free(places);
    host_list_done(&list);
    config_unref(config);
}

Test(hosts, are_refused_with_the_reason)
{
    static const char *const bad[] = {"a b",  "a:0", "a:65536", "a:x",      "[::1]:",
                                      "[::1", "a/b", ":80",     "[::1]x:1", "exa\xc3\xa4mple"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct host_list list;
        struct error error = {0};
        struct config *config = hosts_config(bad[i], NULL, "80", "80");
        cr_assert_eq(host_list_read(config, &list, &error), -EINVAL, "%s", bad[i]);
        cr_assert_not_null(strstr(error.message, "port"), "%s", error.message);
        cr_assert_str_eq(error.key, "Balancer.hosts");
        config_unref(config);
    }
}

Test(hosts, are_bounded)
{
    struct host_list list;
    struct error error = {0};
    struct config *config = hosts_config("10.0.0.1,10.0.0.2", NULL, "1000", "3048");
    cr_assert_eq(host_list_read(config, &list, &error), -EINVAL);
    cr_assert_not_null(strstr(error.message, "4098 members"), "%s", error.message);
    config_unref(config);
    config = hosts_config("10.0.0.1,10.0.0.2", NULL, "1000", "3047");
    cr_assert_eq(host_list_read(config, &list, &error), 0);
    host_list_done(&list);
    config_unref(config);
    /* Within the bound by name, beyond it by addresses. */
    config = hosts_config("two.test", NULL, "1000", "4000");
    cr_assert_eq(host_list_read(config, &list, &error), 0);
    known_count = 0;
    memset(known, 0, sizeof known);
    know("two.test", "192.0.2.9 192.0.2.3", &list.here);
    struct places *places = places_new(&list, known, 1);
    cr_assert_eq(places->count, MEMBERS_MAX);
    cr_assert_eq(places->excess, 6002 - MEMBERS_MAX);
    places_free(places);
    host_list_done(&list);
    config_unref(config);
}
