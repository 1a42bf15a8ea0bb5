/* SPDX-License-Identifier: Apache-2.0 */
/* URNs, sources and receivers. Client ids of keys: test_vectors.c. */
#include <criterion/criterion.h>
#include <errno.h>

#include "wire/name.h"

Test(name, urns_are_normalised)
{
    static const struct {
        struct str in;
        const char *out;
    } cases[] = {
        {STR("aff4:/flows/F:Foreman"), "flows/F:Foreman"},
        {STR("C.x"), "C.x"},
        {STR("/C.x"), "C.x"},
        {STR("aff4:///C.x//"), "C.x"},
        {STR("aff4:/a/./b/../c/"), "a/c"},
        {STR("../../a"), "a"},
        {STR("aff4:a"), "aff4:a"},
        {STR("aff4:/aff4:/a"), "aff4:/a"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct urn urn;
        cr_assert_eq(urn_parse(cases[i].in, &urn), 0);
        cr_expect_str_eq(urn.text, cases[i].out);
    }
}

Test(name, urns_that_name_nothing_are_refused)
{
    struct urn urn;
    char huge[URN_BYTES_MAX + 1];
    memset(huge, 'x', sizeof huge);
    cr_expect_eq(urn_parse(STR(""), &urn), -EINVAL);
    cr_expect_eq(urn_parse(STR("aff4:/"), &urn), -EINVAL);
    cr_expect_eq(urn_parse(STR("aff4:/a/.."), &urn), -EINVAL);
    cr_expect_eq(urn_parse(STR("aff4:/a\n"), &urn), -EINVAL);
    cr_expect_eq(urn_parse(STR("aff4:/a\0b"), &urn), -EINVAL);
    cr_expect_eq(urn_parse(str_make(huge, sizeof huge), &urn), -ENAMETOOLONG);
    cr_expect_eq(urn_parse(str_make(huge, sizeof huge - 2), &urn), 0);
}

Test(name, sources_are_told_apart)
{
    static const struct {
        struct str source;
        int result;
    } cases[] = {
        {STR("aff4:/C.0123456789abcdef"), 0},
        {STR("C.0123456789abcdef"), 0},
        {STR("/C.0123456789abcdef"), 0},
        {STR("aff4:///C.0123456789abcdef"), 0},
        {STR("aff4:/C.0123456789ABCDEF"), -ENOENT},
        {STR("aff4:/foo/C.0123456789abcdef"), -ENOENT},
        {STR("aff4:/c.0123456789abcdef"), -EINVAL},
        {STR("aff4:/C.0123456789abcde"), -EINVAL},
        {STR("aff4:/C.0123456789abcdef0"), -EINVAL},
        {STR("aff4:/C.0123456789abcdeg"), -EINVAL},
        {STR("aff4:/grr"), -EINVAL},
        {STR(""), -EINVAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct client_id id;
        cr_expect_eq(client_id_from_source(cases[i].source, &id), cases[i].result, "case %zu", i);
        if (cases[i].result == 0) {
            cr_expect_str_eq(id.text, "C.0123456789abcdef");
            cr_expect_eq(client_id_number(&id), 0x0123456789abcdef);
        }
    }
}

Test(name, receivers_are_found)
{
    struct recipient address;
    for (unsigned i = 0; i < WIRE_HANDLER_COUNT; i++) {
        enum wire_handler handler = (enum wire_handler)i;
        cr_assert_eq(recipient_parse(str_from(wire_handler_session(handler)), &address), 0);
        cr_expect_not(address.is_flow);
        cr_expect_eq(address.handler, handler);
    }
    cr_expect_str_eq(wire_handler_name(WIRE_HANDLER_BLOB), "BlobHandler");
    cr_expect_str_eq(wire_handler_name(WIRE_HANDLER_OLD_STATS), "");
    cr_assert_eq(recipient_parse(STR("aff4:/C.0123456789abcdef/D2AAF46B"), &address), 0);
    cr_expect(address.is_flow);
    cr_expect_str_eq(address.client.text, "C.0123456789abcdef");
    cr_expect_str_eq(address.flow, "D2AAF46B");
    cr_assert_eq(recipient_parse(STR("aff4:/C.0123456789abcdef/flows/D2AAF46B"), &address), 0);
    cr_expect_str_eq(address.flow, "D2AAF46B");
}

Test(name, addresses_of_nobody_are_refused)
{
    static const struct str bad[] = {
        STR(""),
        STR("aff4:/flows/F:Unknown"),
        STR("aff4:/C.0123456789abcdef"),
        STR("aff4:/C.0123456789ABCDEF/F:1"),
        STR("aff4:/F:1"),
        STR("aff4:/C.0123456789abcdef/"
            "12345678901234567890123456789012345678901234567890123456789012345"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct recipient address;
        cr_expect_eq(recipient_parse(bad[i], &address), -EINVAL, "case %zu", i);
    }
}
