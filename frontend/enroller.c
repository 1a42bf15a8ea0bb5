/* SPDX-License-Identifier: Apache-2.0 */
/* Enrolling agents. Work pool threads. */
#include "enroller.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "health.h"
#include "wire/authority.h"
#include "wire/enrolment.h"
#include "wire/payload.h"

enum { CERTIFICATE_MAX = 16 * 1024 };

/* Refused requests are an operator's business, but anybody can cause them. */
static struct log_limit refused_limit = LOG_LIMIT(10, USEC_PER_SEC);
static struct log_limit failed_limit = LOG_LIMIT(10, USEC_PER_SEC);

static bool find_request(const struct bundle *bundle, struct message *found)
{
    struct str list = bundle->list;
    while (message_next(&list, found) > 0) {
        struct recipient recipient;
        if (found->defect == MESSAGE_FINE && recipient_parse(found->session_id, &recipient) == 0 &&
            !recipient.is_flow && recipient.handler == WIRE_HANDLER_ENROL) {
            return true;
        }
    }
    return false;
}

static int check_request(struct frontend *frontend, const struct message *message,
                         const struct claim *claim, struct rsa_key **key, enum wire_reason *reason)
{
    struct client_id source;
    struct buffer pem;
    buffer_init(&pem, RSA_PEM_BYTES_MAX);
    int result = client_id_parse(str_from(claim->session.source), &source);
    if (result < 0) {
        result = wire_refuse(reason, WIRE_REASON_SOURCE_MALFORMED);
    } else {
        result = payload_read_csr(message->args, &pem, reason);
    }
    if (result == 0) {
        result = csr_check(buffer_view(&pem), &source, &frontend->meter, key, reason);
    }
    buffer_done(&pem);
    return result;
}

static int certify(const struct frontend *frontend, const struct terms *terms,
                   const struct rsa_key *key, struct buffer *pem)
{
    const struct identity *identity = &terms->identity;
    if (identity->authority == NULL) {
        return 0; /* the key is what counts; the certificate is for the record */
    }
    return authority_certify_agent(identity->authority, key, clock_wall(frontend->clock), pem);
}

static enum reason store_agent(struct frontend *frontend, const struct terms *terms,
                               const struct claim *claim, const struct rsa_key *key,
                               enum store_agent_state *state)
{
    struct buffer certificate;
    struct buffer public_key;
    struct error error = {.line = 0};
    struct store_enrolment enrolment = {
        .state = terms->enrolment == ENROLMENT_APPROVE ? STORE_PENDING : STORE_ENROLLED};
    buffer_init(&certificate, CERTIFICATE_MAX);
    buffer_init(&public_key, CERTIFICATE_MAX);
    int result = store_agent_id_parse(str_from(claim->session.source), &enrolment.agent);
    if (result == 0) {
        result = rsa_public_to_pem(key, &public_key);
    }
    if (result == 0) {
        result = certify(frontend, terms, key, &certificate);
    }
    if (result == 0) {
        enrolment.key = buffer_view(&public_key);
        enrolment.certificate = buffer_view(&certificate);
        result = store_enrol_agent(frontend->store, &enrolment, state, &error);
    }
    buffer_done(&certificate);
    buffer_done(&public_key);
    if (result == -EEXIST) {
        return reason_of_wire(WIRE_REASON_CSR_NAME); /* another key of the same name: half a hash */
    }
    if (result < 0) {
        health_note(frontend->health, result);
        log_limited(&failed_limit, LOG_LEVEL_ERROR, "agent not enrolled",
                    LOG_TEXT("agent", claim->session.source), LOG_TEXT("error", error.message));
        return REASON_STORE;
    }
    if (result > 0) {
        stats_add(frontend->stats, STAT_ENROLLED, 1);
        log_info("agent enrolled", LOG_TEXT("agent", claim->session.source),
                 LOG_TEXT("state", *state == STORE_PENDING ? "pending" : "enrolled"));
    }
    return REASON_NONE;
}

static enum reason enrol(struct frontend *frontend, const struct terms *terms,
                         const struct message *message, const struct claim *claim,
                         struct session *session, enum store_agent_state *state)
{
    struct rsa_key *key = NULL;
    enum wire_reason reason = WIRE_NO_REASON;
    if (check_request(frontend, message, claim, &key, &reason) < 0 ||
        claim_verify(claim, key, session, &reason) < 0) {
        rsa_key_free(key);
        log_limited(&refused_limit, LOG_LEVEL_WARNING, "enrolment refused",
                    LOG_TEXT("agent", claim->session.source),
                    LOG_TEXT("reason", wire_reason_code(reason)));
        return reason_of_wire(reason);
    }
    enum reason result = store_agent(frontend, terms, claim, key, state);
    rsa_key_free(key);
    return result;
}

enum reason enroller_try(struct frontend *frontend, const struct terms *terms,
                         struct wire_tools *tools, const struct packet *packet,
                         const struct claim *claim, struct session *session,
                         enum store_agent_state *state)
{
    struct bundle bundle;
    struct message message;
    enum wire_reason wire_reason = WIRE_NO_REASON;
    enum reason reason = reason_of_wire(WIRE_REASON_SOURCE_UNKNOWN);
    if (terms->enrolment == ENROLMENT_CLOSED) {
        return reason;
    }
    bundle_init(&bundle, &terms->packet_limits);
    if (packet_open(tools, packet, &claim->session, &terms->packet_limits, &bundle, &wire_reason) <
        0) {
        reason = reason_of_wire(wire_reason);
    } else if (find_request(&bundle, &message)) {
        reason = enrol(frontend, terms, &message, claim, session, state);
    }
    bundle_done(&bundle);
    return reason;
}
