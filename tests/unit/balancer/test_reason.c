/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "reason.h"

Test(reason, every_reason_has_words_of_its_own)
{
    for (enum reason i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        cr_expect_gt(strlen(reason_code(i)), 3, "%d", i);
        cr_expect_gt(strlen(reason_sentence(i)), 10, "%d", i);
        for (enum reason j = REASON_NONE; j < i; j++) {
            cr_expect_str_neq(reason_code(i), reason_code(j));
        }
    }
    cr_expect_str_eq(reason_code(REASON_NONE), "");
    cr_expect_not(reason_is_error(REASON_NONE));
}

Test(reason, codes_fit_headers_logs_and_labels)
{
    for (enum reason i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        cr_expect_eq(strspn(reason_code(i), "abcdefghijklmnopqrstuvwxyz0123456789_"),
                     strlen(reason_code(i)), "%s", reason_code(i));
    }
}

Test(reason, those_of_the_parser_keep_their_words_and_status)
{
    cr_expect_eq(reason_from_http1(HTTP1_NO_REASON), REASON_NONE);
    for (enum http1_reason i = HTTP1_NO_REASON + 1; i < HTTP1_REASON_COUNT; i++) {
        enum reason reason = reason_from_http1(i);
        cr_expect_str_eq(reason_code(reason), http1_reason_code(i));
        cr_expect_str_eq(reason_sentence(reason), http1_reason_sentence(i));
        cr_expect_eq(reason_status(reason), http1_reason_status(i));
        cr_expect(reason_is_error(reason));
    }
    cr_expect_eq(reason_from_http1(HTTP1_REASON_BARE_LF), REASON_BARE_LF);
    cr_expect_eq(reason_from_http1(HTTP1_REASON_TRAILER_TOO_LARGE), REASON_TRAILER_TOO_LARGE);
}

Test(reason, ordinary_ends_are_no_errors_and_get_no_answer)
{
    cr_expect_not(reason_is_error(REASON_CLIENT_CLOSED));
    cr_expect_eq(reason_status(REASON_IDLE_TIMEOUT), 0);
    cr_expect_eq(reason_status(REASON_QUEUE_FULL), 503);
    cr_expect(reason_is_error(REASON_QUEUE_FULL));
}
