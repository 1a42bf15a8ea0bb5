/* SPDX-License-Identifier: Apache-2.0 */
/* Shared answers. Immutable after replies_new(), but for libmicrohttpd's own reference counts. */
#include "reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/reason_table.h"

static const struct reason_row rows[REASON_WIRE] = {
    [REASON_NONE] = REASON_ROW_NONE,
#define REASON(id, code, status, sentence) [REASON_##id] = REASON_ROW(code, status, sentence),
#include "frontend_reasons.def"
#undef REASON
};

static bool is_of_wire(enum reason reason)
{
    CHECK(reason < REASON_COUNT);
    return reason >= REASON_WIRE;
}

static enum wire_reason wire_reason_of(enum reason reason)
{
    return (enum wire_reason)((int)reason - REASON_WIRE);
}

unsigned reason_status(enum reason reason)
{
    return is_of_wire(reason) ? wire_reason_status(wire_reason_of(reason)) : rows[reason].status;
}

const char *reason_code(enum reason reason)
{
    return is_of_wire(reason) ? wire_reason_code(wire_reason_of(reason)) : rows[reason].code;
}

const char *reason_sentence(enum reason reason)
{
    return is_of_wire(reason) ? wire_reason_sentence(wire_reason_of(reason))
                              : rows[reason].sentence;
}

struct str reason_body(enum reason reason)
{
    return reason_status(reason) == MHD_HTTP_NOT_ACCEPTABLE ? STR("Enrollment required")
                                                            : str_from(reason_sentence(reason));
}

/* For each reason one answer that closes and some that do not: 503 come with different Retry-After,
 * from which one is drawn. */
enum { SPREAD = 8 };

struct replies {
    struct MHD_Response *certificate;
    struct MHD_Response *well;
    struct MHD_Response *unwell;
    struct MHD_Response *open[REASON_COUNT][SPREAD];
    struct MHD_Response *closing[REASON_COUNT][SPREAD];
};

static struct MHD_Response *make(struct str body, const char *type)
{
    /* libmicrohttpd copies the body, but its interface predates const. */
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.len, (void *)(uintptr_t)body.data, MHD_RESPMEM_MUST_COPY);
    if (response != NULL &&
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) != MHD_YES) {
        MHD_destroy_response(response);
        return NULL;
    }
    return response;
}

static bool add(struct MHD_Response *response, const char *name, const char *value)
{
    return response != NULL && MHD_add_response_header(response, name, value) == MHD_YES;
}

static struct MHD_Response *make_refusal(enum reason reason, usec_t retry_after, unsigned step,
                                         bool closes)
{
    struct MHD_Response *response = make(reason_body(reason), "text/plain");
    bool is_fine = add(response, "X-Portico-Reason", reason_code(reason));
    if (reason_status(reason) == MHD_HTTP_SERVICE_UNAVAILABLE) {
        char text[32];
        usec_t after = retry_after + retry_after * step / (SPREAD - 1);
        snprintf(text, sizeof text, "%lld", (long long)((after + USEC_PER_SEC - 1) / USEC_PER_SEC));
        is_fine = is_fine && add(response, MHD_HTTP_HEADER_RETRY_AFTER, text);
    }
    if (closes) {
        is_fine = is_fine && add(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    if (!is_fine && response != NULL) {
        MHD_destroy_response(response);
        return NULL;
    }
    return response;
}

static bool make_refusals(struct replies *replies, usec_t retry_after)
{
    for (int reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
        if (reason == REASON_WIRE) {
            continue; /* WIRE_NO_REASON */
        }
        bool is_spread = reason_status((enum reason)reason) == MHD_HTTP_SERVICE_UNAVAILABLE;
        for (unsigned step = 0; step < (is_spread ? SPREAD : 1); step++) {
            replies->open[reason][step] =
                make_refusal((enum reason)reason, retry_after, step, false);
            replies->closing[reason][step] =
                make_refusal((enum reason)reason, retry_after, step, true);
            if (replies->open[reason][step] == NULL || replies->closing[reason][step] == NULL) {
                return false;
            }
        }
    }
    return true;
}

struct replies *replies_new(struct str certificate, usec_t retry_after)
{
    struct replies *replies = calloc(1, sizeof *replies);
    if (replies == NULL) {
        return NULL;
    }
    replies->certificate = make(certificate, "application/octet-stream");
    replies->well = make(STR("ok\n"), "text/plain");
    replies->unwell = make(STR("not serving\n"), "text/plain");
    if (replies->certificate == NULL || replies->well == NULL || replies->unwell == NULL ||
        !make_refusals(replies, retry_after)) {
        replies_free(replies);
        return NULL;
    }
    return replies;
}

static void destroy(struct MHD_Response *response)
{
    if (response != NULL) {
        MHD_destroy_response(response);
    }
}

void replies_free(struct replies *replies)
{
    if (replies == NULL) {
        return;
    }
    destroy(replies->certificate);
    destroy(replies->well);
    destroy(replies->unwell);
    for (int reason = 0; reason < REASON_COUNT; reason++) {
        for (int step = 0; step < SPREAD; step++) {
            destroy(replies->open[reason][step]);
            destroy(replies->closing[reason][step]);
        }
    }
    free(replies);
}

static unsigned draw(void)
{
    unsigned random = 0;
    /* Without randomness all come back at the same moment, which is no reason to fail. */
    ssize_t unused = getrandom(&random, sizeof random, GRND_NONBLOCK);
    (void)unused;
    return random % SPREAD;
}

enum MHD_Result replies_refuse(const struct replies *replies, struct MHD_Connection *connection,
                               enum reason reason, bool closes)
{
    unsigned status = reason_status(reason);
    unsigned step = status == MHD_HTTP_SERVICE_UNAVAILABLE ? draw() : 0;
    return MHD_queue_response(
        connection, status, closes ? replies->closing[reason][step] : replies->open[reason][step]);
}

enum MHD_Result replies_certificate(const struct replies *replies,
                                    struct MHD_Connection *connection)
{
    return MHD_queue_response(connection, MHD_HTTP_OK, replies->certificate);
}

enum MHD_Result replies_health(const struct replies *replies, struct MHD_Connection *connection,
                               bool is_well)
{
    return is_well ? MHD_queue_response(connection, MHD_HTTP_OK, replies->well)
                   : MHD_queue_response(connection, MHD_HTTP_SERVICE_UNAVAILABLE, replies->unwell);
}

enum MHD_Result reply_text(struct MHD_Connection *connection, const char *type, char *body,
                           size_t len)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(body);
        return MHD_NO;
    }
    enum MHD_Result result = MHD_NO;
    if (add(response, MHD_HTTP_HEADER_CONTENT_TYPE, type)) {
        result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    }
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result reply_packet(struct MHD_Connection *connection, char *body, size_t len)
{
    return reply_text(connection, "application/octet-stream", body, len);
}
