/* SPDX-License-Identifier: Apache-2.0 */
#include "certificates.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules_of.h"
#include "support/certificates.h"
#include "support/support.h"

/* As certificates_load() with these parameters; words of a failure go to `error`. */
static int load(const char *const *parameters, size_t count, struct error *error)
{
    struct rules *rules = rules_of(parameters, count);
    struct tls_context *context = NULL;
    int code = certificates_load(rules->config, NULL, &context, error);
    cr_assert(code == 0 || context == NULL, "an output of a failure");
    if (code == 0) {
        code = context != NULL;
    }
    tls_context_unref(context);
    rules_unref(rules);
    return code;
}

#define LOAD(error, ...)                     \
    load((const char *const[]){__VA_ARGS__}, \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *), error)

Test(certificates, none_are_needed_without_a_port)
{
    struct error error = {.line = 0};
    cr_assert_eq(LOAD(&error, "Balancer.tls_certificates=/nowhere"), 0);
}

Test(certificates, a_port_wants_some)
{
    struct error error = {.line = 0};
    cr_assert_eq(LOAD(&error, "Balancer.tls_bind_port=8443"), -EINVAL);
    cr_assert_str_eq(error.key, "Balancer.tls_certificates");
}

Test(certificates, certificate_and_key_may_share_a_file)
{
    const struct certificate_wish wish = {.common_name = "a.test", .names = "DNS:a.test"};
    struct error error = {.line = 0};
    char parameter[256];
    char *pem;
    char *directory = make_temporary_directory();
    struct certificate *certificate = certificate_new(&wish);
    int len =
        asprintf(&pem, "%s%s", certificate_pem(certificate), certificate_key_pem(certificate));
    cr_assert_gt(len, 0);
    char *both = write_file(directory, "both.pem", str_make(pem, (size_t)len));
    char *half = write_file(directory, "half.pem", str_from(certificate_pem(certificate)));
    snprintf(parameter, sizeof parameter, "Balancer.tls_certificates=%s", both);
    cr_assert_eq(LOAD(&error, "Balancer.tls_bind_port=8443", parameter), 1, "%s", error.message);
    snprintf(parameter, sizeof parameter, "Balancer.tls_certificates=%s", half);
    cr_assert_eq(LOAD(&error, "Balancer.tls_bind_port=8443", parameter), -EINVAL);
    cr_assert_not_null(strstr(error.message, "half.pem"), "%s", error.message);
    free(pem);
    free(both);
    free(half);
    certificate_free(certificate);
    remove_temporary_directory(directory);
}
