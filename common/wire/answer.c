/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the server's answer, sections 4 and 6. Any thread, each with its own tools. */
#include "wire/answer.h"

#include <errno.h>
#include <string.h>

#include "wire/tools.h"

static int check_source(const struct session *session, const struct answer_expectation *expectation,
                        enum wire_reason *reason)
{
    return str_equal(str_from(session->source), expectation->server_name)
               ? 0
               : wire_refuse(reason, WIRE_REASON_ANSWER_SOURCE);
}

/* A cipher not seen before. The name comes first: who is not our server need not sign anything. */
static int receive_cipher(struct wire_tools *tools, struct packet *packet,
                          const struct answer_expectation *expectation, struct session *session,
                          enum wire_reason *reason)
{
    struct claim claim;
    int error = packet_unwrap(tools, packet, expectation->own, PACKET_FROM_SERVER, &claim, reason);
    if (error < 0) {
        return error;
    }
    error = check_source(&claim.session, expectation, reason);
    if (error == 0) {
        error = claim_verify(&claim, expectation->server, session, reason);
    }
    claim_wipe(&claim);
    return error;
}

/* The session's own key is compared too: a former server's cipher is not this one's. */
static bool session_fits(const struct session *session, const struct packet *packet,
                         const struct answer_expectation *expectation)
{
    return memcmp(session->digest, packet->digest, sizeof session->digest) == 0 &&
           memcmp(session->peer, rsa_key_fingerprint(expectation->server), sizeof session->peer) ==
               0;
}

static int authenticate(struct wire_tools *tools, struct packet *packet,
                        const struct answer_expectation *expectation, struct session *session,
                        enum wire_reason *reason)
{
    if (!session_fits(session, packet, expectation)) {
        if (expectation->own == NULL) {
            return -ENOKEY;
        }
        return receive_cipher(tools, packet, expectation, session, reason);
    }
    int error = check_source(session, expectation, reason);
    return error < 0 ? error : packet_match(tools, packet, session, reason);
}

int answer_open(struct wire_tools *tools, struct str body,
                const struct answer_expectation *expectation, const struct packet_limits *limits,
                struct session *session, struct bundle *bundle, enum wire_reason *reason)
{
    struct packet packet;
    /* Answers say their version themselves (section 2): none is 0, which is refused. */
    int error = packet_parse(tools, body, 0, &packet, reason);
    if (error < 0 || (error = authenticate(tools, &packet, expectation, session, reason)) < 0 ||
        (error = packet_open(tools, &packet, session, limits, bundle, reason)) < 0) {
        return error;
    }
    if (!bundle->has_timestamp || bundle->timestamp != expectation->nonce) {
        bundle_done(bundle);
        return wire_refuse(reason, WIRE_REASON_ANSWER_NONCE);
    }
    return 0;
}
