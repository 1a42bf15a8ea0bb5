/* SPDX-License-Identifier: Apache-2.0 */
/* The outer messages: order, defaults, unknown fields, repeats, wrong types. */
#include <criterion/criterion.h>
#include <errno.h>

#include "wire/envelope.h"

Test(envelope, fields_may_come_in_any_order_with_strangers_between)
{
    struct envelope envelope;
    cr_assert_eq(envelope_decode(STR("\x30\x03\xfa\x01\x03new\x12\x02"
                                     "cc\xa8\x06\x01\x0a\x01"
                                     "e\x20\x05"),
                                 &envelope, NULL),
                 0);
    cr_expect_eq(envelope.api_version, 3);
    cr_expect_eq(envelope.queue_size, 5);
    cr_expect(envelope.has_queue_size);
    cr_expect(str_equal(envelope.encrypted_cipher, STR("cc")));
    cr_expect(str_equal(envelope.encrypted, STR("e")));
    cr_expect_null(envelope.full_hmac.data);
}

Test(envelope, the_last_of_repeated_fields_counts)
{
    struct envelope envelope;
    cr_assert_eq(envelope_decode(STR("\x30\x02\x0a\x01x\x30\x03\x0a\x01y"), &envelope, NULL), 0);
    cr_expect_eq(envelope.api_version, 3);
    cr_expect(str_equal(envelope.encrypted, STR("y")));
}

Test(envelope, known_fields_of_another_type_or_size_are_malformed)
{
    static const struct str bad[] = {
        STR("\x08\x01"),                     /* encrypted as a number */
        STR("\x32\x01\x03"),                 /* api_version as bytes */
        STR("\x30\x80\x80\x80\x80\x10"),     /* api_version 2^32 */
        STR("\x20\xff\xff\xff\xff\xff\x01"), /* queue_size beyond 32 bits */
        STR("\x45\x01\x02\x03\x04"),         /* packet_iv as four bytes */
        STR("\x0a\x05"
            "four"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct envelope envelope = {.api_version = 9};
        enum wire_reason reason = WIRE_NO_REASON;
        cr_expect_eq(envelope_decode(bad[i], &envelope, &reason), -EBADMSG);
        cr_expect_eq(reason, WIRE_REASON_ENVELOPE);
        cr_expect_eq(envelope.api_version, 9, "untouched");
    }
}

Test(envelope, hmac_type_is_simple_when_absent)
{
    struct cipher_properties properties = {.hmac_type = FULL_HMAC};
    cr_assert_eq(cipher_properties_decode(STR("\x12\x10"
                                              "0123456789abcdef\x1a\x10"
                                              "0123456789abcdef\x2a\x10"
                                              "0123456789abcdef"),
                                          &properties, NULL),
                 0);
    cr_expect_eq(properties.hmac_type, SIMPLE_HMAC);
    cr_expect_arr_eq(properties.key, "0123456789abcdef", 16);
}

Test(envelope, packed_list_knows_an_absent_timestamp_from_zero)
{
    struct packed_list list;
    cr_assert_eq(packed_list_decode(STR("\x0a\x00"), &list, NULL), 0);
    cr_expect_not(list.has_timestamp);
    cr_expect_eq(list.compression, UNCOMPRESSED);
    cr_assert_eq(packed_list_decode(STR("\x30\x00\x20\x01"), &list, NULL), 0);
    cr_expect(list.has_timestamp);
    cr_expect_eq(list.compression, ZCOMPRESSION);
    enum wire_reason reason;
    cr_expect_eq(packed_list_decode(STR("\x20\x02"), &list, &reason), -EBADMSG);
    cr_expect_eq(reason, WIRE_REASON_COMPRESSION);
}

Test(envelope, every_reason_has_a_code_and_a_status_that_fits)
{
    for (unsigned i = WIRE_NO_REASON + 1; i < WIRE_REASON_COUNT; i++) {
        enum wire_reason reason = (enum wire_reason)i;
        unsigned status = wire_reason_status(reason);
        cr_expect(status == 400 || status == 406 || status == 413 || status == 500 ||
                  status == 503);
        cr_expect_gt(strlen(wire_reason_sentence(reason)), 10);
        for (unsigned j = 0; j < i; j++) {
            cr_expect_str_neq(wire_reason_code(reason), wire_reason_code((enum wire_reason)j));
        }
    }
    cr_expect_eq(wire_refuse(NULL, WIRE_REASON_NO_MEMORY), -ENOMEM);
    cr_expect_eq(wire_refuse(NULL, WIRE_REASON_CRYPTO), -EIO);
    cr_expect_eq(wire_refuse(NULL, WIRE_REASON_SIGNATURE), -EBADMSG);
}
