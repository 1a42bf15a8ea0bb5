/* SPDX-License-Identifier: Apache-2.0 */
#include "config/key_check.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/support.h"

static char *pem(const char *name)
{
    char path[256];
    size_t len;
    snprintf(path, sizeof path, "tests/data/config/keys/%s.pem", name);
    char *text = read_file(path, &len);
    cr_assert_not_null(text, "%s", path);
    return text;
}

static int check(int (*function)(const char *, struct error *), const char *name)
{
    struct error error = {.message = ""};
    char *text = pem(name);
    int code = function(text, &error);
    free(text);
    return code;
}

static int check_pair(const char *certificate, const char *key)
{
    struct error error = {.message = ""};
    char *one = pem(certificate);
    char *two = pem(key);
    int code = key_check_pair(one, two, &error);
    free(one);
    free(two);
    return code;
}

Test(key_check, certificates_and_keys_are_told_apart)
{
    cr_expect_eq(check(key_check_certificate, "server"), 0);
    cr_expect_eq(check(key_check_certificate, "server_key"), -EINVAL);
    cr_expect_eq(check(key_check, "server_key"), 0);
    cr_expect_eq(check(key_check, "server"), -EINVAL);
}

Test(key_check, encrypted_and_foreign_keys_are_refused)
{
    cr_expect_eq(check(key_check, "encrypted_key"), -EACCES);
    cr_expect_eq(check(key_check, "ec_key"), -EINVAL);
}

Test(key_check, a_server_has_one_name)
{
    cr_expect_eq(check(key_check_common_name, "server"), 0);
    cr_expect_eq(check(key_check_common_name, "two_names"), -EINVAL);
}

Test(key_check, a_key_belongs_to_one_certificate)
{
    cr_expect_eq(check_pair("server", "server_key"), 0);
    cr_expect_eq(check_pair("ca", "ca_key"), 0);
    cr_expect_eq(check_pair("server", "ca_key"), -EINVAL);
}

Test(key_check, rubbish_is_refused)
{
    struct error error;
    cr_expect_eq(key_check_certificate("-----BEGIN CERTIFICATE-----\nxx\n", &error), -EINVAL);
    cr_expect_eq(key_check("-----BEGIN PRIVATE KEY-----\n\n-----END PRIVATE KEY-----\n", &error),
                 -EINVAL);
    cr_expect_eq(key_check("", &error), -EINVAL);
}
