/* SPDX-License-Identifier: Apache-2.0 */
/* The server's end: what passes, what does not, and in which order that shows. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "support/parties.h"
#include "support/support.h"
#include "wire/cipher.h"

static struct parties parties;
static struct bundle bundle;
static struct session session;

static void set_up(void)
{
    parties_init(&parties);
    bundle_init(&bundle, &parties.limits);
}

static void tear_down(void)
{
    bundle_done(&bundle);
    parties_done(&parties);
}

TestSuite(packet, .init = set_up, .fini = tear_down);

/* Build, receive, say why not. */
static enum wire_reason receive_craft(struct craft *craft)
{
    struct str body = craft_build(craft, &parties);
    struct guarded guarded = guarded_copy(body);
    enum wire_reason reason = parties_receive(&parties, str_make(guarded.data, guarded.len),
                                              parties.agent, &session, &bundle);
    guarded_free(&guarded);
    free_str(body);
    return reason;
}

static struct craft honest(void)
{
    struct craft craft;
    craft_init(&craft, &parties);
    return craft;
}

#define EXPECT_REASON(craft, expected)                                                  \
    do {                                                                                \
        enum wire_reason got = receive_craft(craft);                                    \
        cr_expect_eq(got, WIRE_##expected, "%s: %s", #expected, wire_reason_code(got)); \
    } while (0)

Test(packet, honest_ones_pass_whatever_hmac_and_signature_they_use)
{
    for (unsigned i = 0; i < 16; i++) {
        struct craft craft = honest();
        craft_init(&craft, &parties);
        craft.keys.hmac_type = i & 1 ? FULL_HMAC : SIMPLE_HMAC;
        craft.digest = i & 2 ? HMAC_SHA1 : HMAC_SHA256;
        craft.uses_pss = i & 4;
        craft.omits_full = i & 8 && !(i & 1);
        craft.omits_simple = i & 8 && i & 1;
        EXPECT_REASON(&craft, NO_REASON);
        cr_expect_eq(bundle.timestamp, (uint64_t)PARTIES_NOW);
        cr_expect_str_eq(session.source, rsa_key_client_id(parties.agent)->text);
        cr_expect_arr_eq(session.peer, rsa_key_fingerprint(parties.agent), sizeof session.peer);
    }
}

Test(packet, each_wrong_field_has_a_reason_of_its_own)
{
    struct buffer out;
    struct craft craft;
    struct packed_list packed = {.message_list = STR("\x0a\x05short")};
    buffer_init(&out, 4096);
#define WRONG(change, reason)          \
    do {                               \
        craft_init(&craft, &parties);  \
        change;                        \
        EXPECT_REASON(&craft, reason); \
    } while (0)
    WRONG(craft.api_version = 2, REASON_API_VERSION);
    WRONG(craft.api_version = 4, REASON_API_VERSION);
    WRONG(craft.to = parties.other, REASON_CIPHER_DECRYPT);
    WRONG(craft.from = parties.other, REASON_SIGNATURE);
    WRONG((craft.from = parties.other, craft.uses_pss = true), REASON_SIGNATURE);
    WRONG(craft.is_unsigned = true, REASON_SIGNATURE_MISSING);
    WRONG(craft.source = STR("aff4:/grr"), REASON_SOURCE_MALFORMED);
    WRONG(craft.omits_source = true, REASON_SOURCE_MALFORMED);
    WRONG(craft.source = STR("aff4:/x/C.0123456789abcdef"), REASON_SOURCE_NOT_CANONICAL);
    WRONG(craft.source = STR("aff4:/C.0123456789ABCDEF"), REASON_SOURCE_NOT_CANONICAL);
    WRONG(craft.properties = STR("\xff\xff"), REASON_CIPHER_PROPERTIES);
    WRONG(craft.properties = STR(""), REASON_CIPHER_KEY_LENGTH);
    WRONG(craft.properties = STR("\x10\x05"), REASON_CIPHER_PROPERTIES); /* key as a number */
    cr_assert_eq(cipher_properties_encode(&craft.keys, &out), 0);
    cr_assert_eq(buffer_append(&out, STR("\x30\x07")), 0);
    WRONG(craft.properties = buffer_view(&out), REASON_HMAC_TYPE);
    buffer_clear(&out);
    cr_assert_eq(cipher_properties_encode(&craft.keys, &out), 0);
    cr_assert_eq(buffer_append(&out, STR("\x12\x08"
                                         "8 bytes.")),
                 0);
    WRONG(craft.properties = buffer_view(&out), REASON_CIPHER_KEY_LENGTH);
    WRONG(craft.omits_full = true, REASON_HMAC_MISSING);
    WRONG((craft.keys.hmac_type = SIMPLE_HMAC, craft.omits_simple = true), REASON_HMAC_MISSING);
    WRONG(craft.metadata = STR("\x0a\xff"), REASON_METADATA);
    WRONG((craft.packed = STR(""), craft.raw_ciphertext = true), REASON_CIPHERTEXT_LENGTH);
    WRONG((craft.packed = STR("seventeen bytes.."), craft.raw_ciphertext = true),
          REASON_CIPHERTEXT_LENGTH);
    WRONG((craft.packed = STR("sixteen bytes..."), craft.raw_ciphertext = true), REASON_PADDING);
    WRONG(craft.packed = STR("\xff"), REASON_PACKED_LIST);
    WRONG(craft.packed = STR("\x20\x07"), REASON_COMPRESSION);
    WRONG(craft.packed = STR("\x0a\x03xyz\x20\x01"), REASON_INFLATE);
    WRONG(craft.packed = STR("\x20\x01"), REASON_INFLATE);
    WRONG(craft.packed = STR("\x0a\x03xyz"), REASON_MESSAGE_LIST);
    buffer_clear(&out);
    cr_assert_eq(packed_list_encode(&packed, &out), 0);
    WRONG(craft.packed = buffer_view(&out), REASON_MESSAGE_LIST);
    WRONG(craft.nonce = 0, NO_REASON);
    buffer_done(&out);
}

/* A packet is either refused or says what it said: HMAC and signature cover all of it. */
Test(packet, no_flipped_bit_makes_another_packet, .timeout = 100)
{
    struct craft craft = honest();
    craft.packed = STR("\x0a\x07\x0a\x05\x0a\x03"
                       "abc\x30\x05");
    struct str body = craft_build(&craft, &parties);
    char *bytes = malloc(body.len);
    unsigned harmless = 0;
    cr_assert_eq(parties_receive(&parties, body, parties.agent, &session, &bundle), WIRE_NO_REASON);
    struct session warm = session;
    for (size_t i = 0; i < body.len * 8; i++) {
        enum wire_reason reason = WIRE_NO_REASON;
        struct packet packet;
        memcpy(bytes, body.data, body.len);
        bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
        /* The warm way for every bit, as RSA would take too long; the cold one for every byte. */
        struct str flipped = str_make(bytes, body.len);
        bool passed = false;
        if (packet_parse(&parties.tools, flipped, 3, &packet, &reason) == 0 &&
            memcmp(packet.digest, warm.digest, sizeof warm.digest) == 0 &&
            packet_match(&parties.tools, &packet, &warm, &reason) == 0) {
            passed =
                packet_open(&parties.tools, &packet, &warm, &parties.limits, &bundle, &reason) == 0;
        }
        if (!passed && i % 8 == i / 8 % 8) {
            passed = parties_receive(&parties, flipped, parties.agent, &session, &bundle) ==
                     WIRE_NO_REASON;
        }
        if (passed) {
            harmless++;
            cr_assert_eq(bundle.count, 1);
            cr_assert_eq(bundle.timestamp, 5);
            cr_assert(str_equal(bundle.list, STR("\x0a\x05\x0a\x03"
                                                 "abc")));
        }
    }
    /* queue_size, which no HMAC covers; field 7, which FULL_HMAC makes unimportant. */
    cr_expect_leq(harmless, 8 * (2 + 22));
    free(bytes);
    free_str(body);
}

Test(packet, cut_anywhere_is_refused)
{
    struct craft craft = honest();
    struct str body = craft_build(&craft, &parties);
    for (size_t len = 0; len < body.len; len++) {
        struct guarded guarded = guarded_copy(str_first(body, len));
        cr_expect_neq(parties_receive(&parties, str_make(guarded.data, guarded.len), parties.agent,
                                      &session, &bundle),
                      WIRE_NO_REASON, "cut to %zu", len);
        guarded_free(&guarded);
    }
    free_str(body);
}

Test(packet, a_known_session_costs_no_rsa)
{
    struct sealing sealing;
    struct buffer out;
    enum wire_reason reason;
    struct str source = client_id_str(rsa_key_client_id(parties.agent));
    buffer_init(&out, 1 << 20);
    cr_assert_eq(sealing_make(&parties.tools, parties.agent, parties.server, source, PARTIES_NOW,
                              &sealing, &reason),
                 0);
    cr_expect_eq(parties.meter.private_operations, 1);
    cr_expect_eq(parties.meter.public_operations, 1);
    for (uint64_t nonce = 1; nonce <= 3; nonce++) {
        struct packet packet;
        const struct seal_content content = {.timestamp = nonce, .is_poll = true, .queue_size = 7};
        buffer_clear(&out);
        cr_assert_eq(seal_packet(&parties.tools, &sealing, &content, &out), 0);
        if (nonce == 1) {
            cr_assert_eq(
                parties_receive(&parties, buffer_view(&out), parties.agent, &session, &bundle),
                WIRE_NO_REASON);
            cr_expect_eq(parties.meter.private_operations, 2);
            cr_expect_eq(parties.meter.public_operations, 2);
            continue;
        }
        cr_assert_eq(packet_parse(&parties.tools, buffer_view(&out), 0, &packet, &reason), 0);
        cr_expect_arr_eq(packet.digest, session.digest, sizeof packet.digest);
        cr_assert_eq(packet_match(&parties.tools, &packet, &session, &reason), 0);
        cr_assert_eq(
            packet_open(&parties.tools, &packet, &session, &parties.limits, &bundle, &reason), 0);
        cr_expect_eq(bundle.timestamp, nonce);
        cr_expect_eq(packet.envelope.queue_size, 7);
    }
    cr_expect_eq(parties.meter.private_operations, 2);
    cr_expect_eq(parties.meter.public_operations, 2);
    buffer_done(&out);
}

Test(packet, what_is_sealed_is_opened_whatever_its_size)
{
    struct sealing sealing;
    struct buffer out, list;
    enum wire_reason reason;
    char *args = calloc(1, 100000);
    uint64_t random = 7;
    struct str source = client_id_str(rsa_key_client_id(parties.agent));
    buffer_init(&out, 1 << 20);
    buffer_init(&list, 1 << 20);
    cr_assert_eq(sealing_make(&parties.tools, parties.agent, parties.server, source, PARTIES_NOW,
                              &sealing, &reason),
                 0);
    for (size_t i = 0; i < 50000; i++) {
        args[i] = (char)next_random(&random); /* half compresses, half does not */
    }
    for (size_t size = 0; size < 100000; size = size * 3 + 1) {
        for (unsigned way = 0; way < 3; way++) {
            const struct message message = {.session_id = STR("aff4:/flows/F:Foreman"),
                                            .args = str_make(args, size)};
            struct message found;
            static const size_t from[] = {0, SEAL_COMPRESS_FROM, SIZE_MAX};
            buffer_clear(&list);
            buffer_clear(&out);
            cr_assert_eq(message_list_append(&list, &message), 0);
            const struct seal_content content = {
                .list = buffer_view(&list), .timestamp = 9, .compress_from = from[way]};
            cr_assert_eq(seal_packet(&parties.tools, &sealing, &content, &out), 0);
            cr_assert_eq(
                parties_receive(&parties, buffer_view(&out), parties.agent, &session, &bundle),
                WIRE_NO_REASON);
            cr_assert_eq(bundle.count, 1);
            struct str rest = bundle.list;
            cr_assert_eq(message_next(&rest, &found), 1);
            cr_assert(str_equal(found.args, message.args));
        }
    }
    free(args);
    buffer_done(&out);
    buffer_done(&list);
}

Test(packet, a_bomb_is_refused_in_little_memory)
{
    enum { ZEROS = 32 << 20 };
    struct buffer packed;
    struct craft craft = honest();
    Bytef *zeros = calloc(1, ZEROS);
    uLongf size = compressBound(ZEROS);
    Bytef *zipped = malloc(size);
    cr_assert_eq(compress2(zipped, &size, zeros, ZEROS, 9), Z_OK);
    cr_assert_lt(size, ZEROS / 900);
    const struct packed_list bomb = {.message_list = str_make((const char *)zipped, size),
                                     .compression = ZCOMPRESSION};
    buffer_init(&packed, 1 << 20);
    cr_assert_eq(packed_list_encode(&bomb, &packed), 0);
    craft.packed = buffer_view(&packed);
    EXPECT_REASON(&craft, REASON_INFLATE_RATIO);
    cr_expect_leq(bundle.inflated.capacity, 4 << 20);
    parties.limits.zip.bytes = 100000;
    EXPECT_REASON(&craft, REASON_INFLATE_SIZE);
    free(zeros);
    free(zipped);
    buffer_done(&packed);
}

Test(packet, messages_are_counted_and_weighed)
{
    struct buffer list, packed;
    struct craft craft = honest();
    buffer_init(&list, 1 << 20);
    buffer_init(&packed, 1 << 20);
    const struct message message = {.session_id = STR("aff4:/flows/F:Foreman")};
    for (int i = 0; i < 11; i++) {
        cr_assert_eq(message_list_append(&list, &message), 0);
    }
    const struct packed_list plain = {.message_list = buffer_view(&list)};
    cr_assert_eq(packed_list_encode(&plain, &packed), 0);
    craft.packed = buffer_view(&packed);
    EXPECT_REASON(&craft, NO_REASON);
    cr_expect_eq(bundle.count, 11);
    parties.limits.messages.count = 10;
    EXPECT_REASON(&craft, REASON_MESSAGE_COUNT);
    cr_expect_eq(bundle.count, 0);
    parties.limits.messages = (struct message_limits){.count = 11, .bytes = 5};
    EXPECT_REASON(&craft, REASON_MESSAGE_SIZE);
    buffer_done(&list);
    buffer_done(&packed);
}

Test(packet, refuses_to_open_what_nobody_vouched_for, .signal = SIGABRT)
{
    struct packet packet;
    enum wire_reason reason;
    struct craft craft = honest();
    struct str body = craft_build(&craft, &parties);
    cr_assert_eq(packet_parse(&parties.tools, body, 0, &packet, &reason), 0);
    int error = packet_open(&parties.tools, &packet, &session, &parties.limits, &bundle, &reason);
    cr_log_error("opened: %d", error);
}

Test(packet, no_iv_is_used_twice_and_large_packets_leave_no_memory_behind)
{
    enum { PACKETS = 200 };
    static uint8_t ivs[PACKETS][WIRE_KEY_BYTES];
    struct buffer large;
    for (int i = 0; i < PACKETS; i++) {
        cr_assert_eq(wire_tools_iv(&parties.tools, ivs[i]), 0);
        for (int j = 0; j < i; j++) {
            cr_assert_arr_neq(ivs[i], ivs[j], WIRE_KEY_BYTES);
        }
    }
    buffer_init(&large, 2 << 20);
    cr_assert_eq(buffer_reserve(&large, 1 << 20), 0);
    wire_tools_reuse(&large);
    cr_expect_eq(large.capacity, 0);
    cr_assert_eq(buffer_reserve(&large, 1000), 0);
    wire_tools_reuse(&large);
    cr_expect_geq(large.capacity, 1000);
    buffer_done(&large);
}

Test(packet, api_version_comes_from_the_query_only_where_it_is_a_number)
{
    cr_expect_eq(packet_api_from_query(STR("")), 3);
    cr_expect_eq(packet_api_from_query(STR("api=2")), 2);
    cr_expect_eq(packet_api_from_query(STR("x=1&api=4")), 4);
    cr_expect_eq(packet_api_from_query(STR("api=abc")), 3);
    cr_expect_eq(packet_api_from_query(STR("api=")), 3);
    cr_expect_eq(packet_api_from_query(STR("xapi=2")), 3);
}
