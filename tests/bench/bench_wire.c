/* SPDX-License-Identifier: Apache-2.0 */
/* What the agents' protocol costs without HTTP and store: a warm poll opened and answered, its
 * parts, RSA operations, and what keeping contexts saves. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "bench/measure.h"
#include "wire/answer.h"
#include "wire/cipher.h"
#include "wire/message.h"
#include "wire/packet.h"
#include "wire/seal.h"
#include "wire/tools.h"

/* One agent and its server, warm. */
struct warm {
    struct rsa_meter meter;
    struct rsa_key *agent, *server;
    struct wire_tools tools;
    struct packet_limits limits;
    struct sealing poll_sealing, answer_sealing;
    struct session session, answer_session;
    struct bundle bundle;
    struct buffer list, poll, answer;
    struct str source;
};

static struct warm empty, loaded, packed;

static void seal_poll(struct warm *warm, size_t compress_from)
{
    const struct seal_content content = {.list = buffer_view(&warm->list),
                                         .timestamp = 1790000000000000,
                                         .compress_from = compress_from,
                                         .is_poll = true};
    buffer_clear(&warm->poll);
    CHECK(seal_packet(&warm->tools, &warm->poll_sealing, &content, &warm->poll) == 0);
}

static void warm_init(struct warm *warm, size_t args_bytes, size_t compress_from)
{
    enum wire_reason reason;
    struct packet packet;
    struct claim claim;
    warm->limits = PACKET_LIMITS_DEFAULT;
    if (warm->agent == NULL) {
        CHECK(rsa_generate(2048, &warm->meter, &warm->agent) == 0);
        CHECK(rsa_generate(2048, &warm->meter, &warm->server) == 0);
    }
    CHECK(wire_tools_init(&warm->tools) == 0);
    buffer_init(&warm->list, 1 << 20);
    buffer_init(&warm->poll, 1 << 20);
    buffer_init(&warm->answer, 1 << 20);
    bundle_init(&warm->bundle, &warm->limits);
    if (args_bytes > 0) {
        static char args[1024];
        const struct message message = {.session_id = STR("aff4:/C.0123456789abcdef/F:12345678"),
                                        .args = str_make(args, args_bytes),
                                        .args_type = STR("StatEntry"),
                                        .request_id = 1,
                                        .response_id = 1,
                                        .has_request_id = true,
                                        .has_response_id = true};
        for (size_t i = 0; i < sizeof args; i++) {
            args[i] = (char)("portico"[i % 7] + i / 37);
        }
        CHECK(message_list_append(&warm->list, &message) == 0);
    }
    warm->source = client_id_str(rsa_key_client_id(warm->agent));
    CHECK(sealing_make(&warm->tools, warm->agent, warm->server, warm->source, 0,
                       &warm->poll_sealing, &reason) == 0);
    CHECK(sealing_make(&warm->tools, warm->server, warm->agent, STR("grr"), 0,
                       &warm->answer_sealing, &reason) == 0);
    seal_poll(warm, compress_from);
    CHECK(packet_parse(&warm->tools, buffer_view(&warm->poll), 3, &packet, &reason) == 0);
    CHECK(packet_unwrap(&warm->tools, &packet, warm->server, PACKET_FROM_AGENT, &claim, &reason) ==
          0);
    CHECK(claim_verify(&claim, warm->agent, &warm->session, &reason) == 0);
}

/* The server's part of a warm poll. */
static void open_and_answer(void *context, uint64_t count)
{
    struct warm *warm = context;
    for (uint64_t i = 0; i < count; i++) {
        struct packet packet;
        enum wire_reason reason;
        CHECK(packet_parse(&warm->tools, buffer_view(&warm->poll), 3, &packet, &reason) == 0);
        CHECK(packet_match(&warm->tools, &packet, &warm->session, &reason) == 0);
        CHECK(packet_open(&warm->tools, &packet, &warm->session, &warm->limits, &warm->bundle,
                          &reason) == 0);
        const struct seal_content content = {.timestamp = warm->bundle.timestamp,
                                             .compress_from = SEAL_COMPRESS_FROM};
        buffer_clear(&warm->answer);
        CHECK(seal_packet(&warm->tools, &warm->answer_sealing, &content, &warm->answer) == 0);
    }
}

static void open_only(void *context, uint64_t count)
{
    struct warm *warm = context;
    for (uint64_t i = 0; i < count; i++) {
        struct packet packet;
        enum wire_reason reason;
        CHECK(packet_parse(&warm->tools, buffer_view(&warm->poll), 3, &packet, &reason) == 0);
        CHECK(packet_match(&warm->tools, &packet, &warm->session, &reason) == 0);
        CHECK(packet_open(&warm->tools, &packet, &warm->session, &warm->limits, &warm->bundle,
                          &reason) == 0);
    }
}

static void seal_only(void *context, uint64_t count)
{
    struct warm *warm = context;
    for (uint64_t i = 0; i < count; i++) {
        const struct seal_content content = {.timestamp = 7};
        buffer_clear(&warm->answer);
        CHECK(seal_packet(&warm->tools, &warm->answer_sealing, &content, &warm->answer) == 0);
    }
}

/* The agent's part: poll sealed, answer opened with its cipher known. */
static void poll_and_open(void *context, uint64_t count)
{
    struct warm *warm = context;
    const struct answer_expectation expectation = {.own = warm->agent,
                                                   .server = warm->server,
                                                   .server_name = STR("grr"),
                                                   .nonce = 1790000000000000};
    for (uint64_t i = 0; i < count; i++) {
        enum wire_reason reason;
        seal_poll(warm, SIZE_MAX);
        CHECK(answer_open(&warm->tools, buffer_view(&warm->answer), &expectation, &warm->limits,
                          &warm->answer_session, &warm->bundle, &reason) == 0);
    }
}

static void open_cold(void *context, uint64_t count)
{
    struct warm *warm = context;
    for (uint64_t i = 0; i < count; i++) {
        struct packet packet;
        struct claim claim;
        struct session session;
        enum wire_reason reason;
        CHECK(packet_parse(&warm->tools, buffer_view(&warm->poll), 3, &packet, &reason) == 0);
        CHECK(packet_unwrap(&warm->tools, &packet, warm->server, PACKET_FROM_AGENT, &claim,
                            &reason) == 0);
        CHECK(claim_verify(&claim, warm->agent, &session, &reason) == 0);
        CHECK(packet_open(&warm->tools, &packet, &session, &warm->limits, &warm->bundle, &reason) ==
              0);
    }
}

static void make_sealing(void *context, uint64_t count)
{
    struct warm *warm = context;
    for (uint64_t i = 0; i < count; i++) {
        enum wire_reason reason;
        CHECK(sealing_make(&warm->tools, warm->server, warm->agent, STR("grr"), 0,
                           &warm->answer_sealing, &reason) == 0);
    }
}

static uint8_t rsa_out[RSA_BYTES_MAX], rsa_in[RSA_BYTES_MAX];

static void sign(void *context, uint64_t count)
{
    struct warm *warm = context;
    for (uint64_t i = 0; i < count; i++) {
        CHECK(rsa_sign(warm->server, STR("69 bytes or so"), rsa_out) == 256);
    }
}

static void verify(void *context, uint64_t count)
{
    struct warm *warm = context;
    for (uint64_t i = 0; i < count; i++) {
        CHECK(rsa_verify(warm->server, STR("69 bytes or so"),
                         str_make((const char *)rsa_out, 256)) == 0);
    }
}

static void encrypt(void *context, uint64_t count)
{
    struct warm *warm = context;
    for (uint64_t i = 0; i < count; i++) {
        CHECK(rsa_encrypt(warm->server, STR("69 bytes or so"), rsa_in) == 256);
    }
}

static void decrypt(void *context, uint64_t count)
{
    struct warm *warm = context;
    for (uint64_t i = 0; i < count; i++) {
        CHECK(rsa_decrypt(warm->server, str_make((const char *)rsa_in, 256), rsa_out) == 14);
    }
}

static char text[1536];
static const uint8_t key[WIRE_KEY_BYTES] = "0123456789abcdef";

static void hmac_kept(void *context, uint64_t count)
{
    struct warm *warm = context;
    uint8_t out[HMAC_SHA256_BYTES];
    const struct str part = str_make(text, sizeof text);
    for (uint64_t i = 0; i < count; i++) {
        CHECK(cipher_hmac(warm->tools.cipher, HMAC_SHA1, key, &part, 1, out) == 20);
    }
}

static void hmac_one_shot(void *context, uint64_t count)
{
    uint8_t out[EVP_MAX_MD_SIZE];
    size_t size;
    (void)context;
    for (uint64_t i = 0; i < count; i++) {
        CHECK(EVP_Q_mac(NULL, "HMAC", NULL, "SHA1", NULL, key, sizeof key, (const uint8_t *)text,
                        sizeof text, out, sizeof out, &size) != NULL);
    }
}

static void digest(void *context, uint64_t count)
{
    struct warm *warm = context;
    uint8_t out[SHA256_BYTES];
    for (uint64_t i = 0; i < count; i++) {
        CHECK(cipher_digest(warm->tools.cipher, str_make(text, 256), out) == 0);
    }
}

static void random_iv(void *context, uint64_t count)
{
    uint8_t out[WIRE_KEY_BYTES];
    (void)context;
    for (uint64_t i = 0; i < count; i++) {
        CHECK(cipher_random(out, sizeof out) == 0);
    }
}

int main(int argc, char **argv)
{
    struct measure_options options =
        measure_options(argc, argv, "CPU time of the agents' protocol, no HTTP, no store.");
    warm_init(&empty, 0, SIZE_MAX);
    warm_init(&loaded, 1024, SIZE_MAX);
    warm_init(&packed, 1024, 0);
    printf("polls: empty %zu bytes, with 1 KiB %zu, the same compressed %zu; RSA-2048; median of "
           "%d rounds\n",
           buffer_size(&empty.poll), buffer_size(&loaded.poll), buffer_size(&packed.poll),
           MEASURE_ROUNDS);
    measure(&options, "warm empty poll opened and answered", open_and_answer, &empty, 50000);
    measure(&options, "warm poll with 1 KiB, the same", open_and_answer, &loaded, 50000);
    measure(&options, "warm poll with 1 KiB compressed, the same", open_and_answer, &packed, 50000);
    measure(&options, "  opening an empty poll", open_only, &empty, 50000);
    measure(&options, "  sealing an empty answer", seal_only, &empty, 50000);
    open_and_answer(&empty, 1);
    measure(&options, "agent: sealing a poll, opening the answer", poll_and_open, &empty, 50000);
    uint64_t private_before = atomic_load(&empty.meter.private_operations);
    open_and_answer(&empty, 1);
    CHECK(atomic_load(&empty.meter.private_operations) == private_before);
    measure(&options, "HMAC-SHA-1 of 1.5 KiB, context kept", hmac_kept, &empty, 100000);
    measure(&options, "the same, one-shot", hmac_one_shot, &empty, 100000);
    measure(&options, "SHA-256 of 256 bytes", digest, &empty, 100000);
    measure(&options, "random IV", random_iv, &empty, 100000);
    measure(&options, "RSA sign", sign, &empty, 300);
    measure(&options, "RSA verify", verify, &empty, 5000);
    measure(&options, "RSA encrypt", encrypt, &empty, 5000);
    measure(&options, "RSA decrypt", decrypt, &empty, 300);
    measure(&options, "cold poll opened (decrypt, verify)", open_cold, &empty, 300);
    measure(&options, "new server cipher (sign, encrypt)", make_sealing, &empty, 300);
    return 0;
}
