/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's end of a poll. See letter.h for the threads. */
#include "letter.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "identities.h"
#include "ledger.h"
#include "wire/answer.h"
#include "wire/enrolment.h"
#include "wire/field.h"
#include "wire/payload.h"
#include "wire/request.h"
#include "wire/seal.h"
#include "workbench.h"

enum {
    LIST_MAX = 64 << 20,
    KEEP_BYTES = 16 * 1024,  /* of a buffer between polls */
    HEAVY_BYTES = 64 * 1024, /* takes a tenth of a millisecond to encrypt and to hash */
    COMPRESS_TO = 16 * 1024, /* what is longer is a file, and compressed already */
    ARRIVALS_MAX = 4 << 20,
    BLOB_DATA = 2, /* DataBlob.data */
};

/* What makes a message recognisable in the store, at the beginning of its data. */
struct mark {
    uint64_t run;
    uint32_t identity, sequence;
};

void letter_init(struct letter *letter, const struct fleet *fleet)
{
    *letter = (struct letter){.fleet = fleet};
    buffer_init(&letter->list, LIST_MAX);
    buffer_init(&letter->packet, LIST_MAX + (1 << 20));
    buffer_init(&letter->answer, LIST_MAX + (1 << 20));
    buffer_init(&letter->arrivals, ARRIVALS_MAX);
}

void letter_done(struct letter *letter)
{
    buffer_done(&letter->list);
    buffer_done(&letter->packet);
    buffer_done(&letter->answer);
    buffer_done(&letter->arrivals);
    explicit_bzero(&letter->record, sizeof letter->record);
    letter_forget_key(letter);
}

static void empty(struct buffer *buffer)
{
    if (buffer->capacity > KEEP_BYTES) {
        buffer_done(buffer);
    } else {
        buffer_clear(buffer);
    }
}

void letter_begin(struct letter *letter, struct agent *agent, usec_t wall)
{
    letter_forget_key(letter);
    letter->agent = agent;
    letter->now = (uint64_t)wall;
    letter->unsent = 0;
    letter->record_changed = letter->is_enrolment = letter->is_repeated = false;
    empty(&letter->list);
    empty(&letter->packet);
    empty(&letter->answer);
    empty(&letter->arrivals);
}

/* ---- Writing ---- */

static bool has_cipher(const struct letter *letter)
{
    const struct vault_record *record = &letter->record;
    return record->cipher_len > 0 && record->made <= (usec_t)letter->now &&
           (usec_t)letter->now - record->made < SEALING_LIFETIME &&
           memcmp(record->peer, rsa_key_fingerprint(letter->fleet->server), sizeof record->peer) ==
               0;
}

bool letter_is_heavy(const struct letter *letter)
{
    const struct agent *agent = letter->agent;
    uint64_t bytes = agent->outbox == NULL ? 0 : agent->outbox->len;
    for (size_t i = 0; i < letter->fresh; i++) {
        bytes += letter->sizes[i];
    }
    return !has_cipher(letter) || agent->wants_enrolment || bytes > HEAVY_BYTES;
}

/* Assembling a key and its first use cost as much as its second use, so reading has it, too. */
static int take_key(struct letter *letter)
{
    return letter->key != NULL
               ? 0
               : identities_key(letter->fleet->identities, letter->agent->identity, &letter->key);
}

void letter_forget_key(struct letter *letter)
{
    rsa_key_free(letter->key);
    letter->key = NULL;
}

static int make_cipher(struct letter *letter, struct workbench *bench, const struct rsa_key *key)
{
    struct sealing sealing;
    enum wire_reason reason;
    int code =
        sealing_make(&bench->tools, key, letter->fleet->server,
                     client_id_str(rsa_key_client_id(key)), (usec_t)letter->now, &sealing, &reason);
    code = code < 0 ? code : vault_pack(&sealing, &letter->record);
    sealing_wipe(&sealing);
    letter->record_changed = code == 0;
    return code;
}

static int add_enrolment(struct letter *letter, struct workbench *bench, const struct rsa_key *key)
{
    struct message message = {.session_id = str_from(wire_handler_session(WIRE_HANDLER_ENROL)),
                              .args_type = STR("Certificate")};
    buffer_clear(&bench->pem);
    buffer_clear(&bench->args);
    int code = csr_make(key, &bench->pem);
    code = code < 0 ? code : payload_write_csr(buffer_view(&bench->pem), &bench->args);
    message.args = buffer_view(&bench->args);
    code = code < 0 ? code : message_list_append(&letter->list, &message);
    letter->is_enrolment = code == 0;
    return code;
}

/* A blob of `size` bytes that begins with its mark. */
static int add_message(struct letter *letter, struct workbench *bench, uint64_t size)
{
    struct agent *agent = letter->agent;
    struct mark mark = {
        .run = letter->fleet->run, .identity = agent->identity, .sequence = ++agent->sequence};
    struct message message = {.session_id = str_from(wire_handler_session(WIRE_HANDLER_BLOB)),
                              .args_type = STR("DataBlob")};
    size = size < sizeof mark ? sizeof mark : size;
    buffer_clear(&bench->args);
    int code = field_put_header(&bench->args, BLOB_DATA, size);
    code =
        code < 0 ? code : buffer_append(&bench->args, str_make((const char *)&mark, sizeof mark));
    for (size_t left = size - sizeof mark; code == 0 && left > 0;) {
        size_t part = left < WORKBENCH_NOISE ? left : WORKBENCH_NOISE;
        code = buffer_append(&bench->args, str_make((const char *)bench->noise, part));
        left -= part;
    }
    message.args = buffer_view(&bench->args);
    return code < 0 ? code : message_list_append(&letter->list, &message);
}

/* What waits goes first; after a failed poll it goes alone, under the same nonce. */
static int add_outbox(struct letter *letter)
{
    struct outbox *outbox = letter->agent->outbox;
    if (outbox == NULL) {
        return 0;
    }
    int code = buffer_append(&letter->list, str_make(outbox->bytes, outbox->len));
    if (code == 0) {
        letter->is_repeated = outbox->nonce != 0;
        letter->unsent += outbox->unsent;
        letter->agent->outbox = NULL;
        if (letter->is_repeated) {
            letter->agent->nonce = outbox->nonce;
        }
        free(outbox);
    }
    return code;
}

static int fill_list(struct letter *letter, struct workbench *bench, const struct rsa_key *key)
{
    struct agent *agent = letter->agent;
    if (agent->wants_enrolment && key != NULL) {
        return add_enrolment(letter, bench, key);
    }
    int code = add_outbox(letter);
    for (size_t i = 0; code == 0 && !letter->is_repeated && i < letter->fresh; i++) {
        code = add_message(letter, bench, letter->sizes[i]);
        letter->unsent++;
    }
    return code;
}

static int seal(struct letter *letter, struct workbench *bench)
{
    struct sealing sealing;
    const struct seal_content content = {
        .list = buffer_view(&letter->list),
        .timestamp = letter->agent->nonce,
        .compress_from = buffer_size(&letter->list) > COMPRESS_TO ? SIZE_MAX : SEAL_COMPRESS_FROM,
        .is_poll = true,
    };
    CHECK(vault_unpack(&letter->record, &sealing));
    int code = seal_packet(&bench->tools, &sealing, &content, &letter->packet);
    explicit_bzero(sealing.key, sizeof sealing.key);
    return code;
}

int letter_write(struct letter *letter, struct workbench *bench)
{
    struct agent *agent = letter->agent;
    int code = 0;
    agent->former_nonce = agent->nonce;
    agent->nonce = letter->now > agent->nonce ? letter->now : agent->nonce + 1;
    if (!has_cipher(letter) || agent->wants_enrolment) {
        code = take_key(letter);
    }
    if (code == 0 && !has_cipher(letter)) {
        code = make_cipher(letter, bench, letter->key);
    }
    code = code < 0 ? code : fill_list(letter, bench, letter->key);
    return code < 0 ? code : seal(letter, bench);
}

/* ---- Reading ---- */

/* What a wrong nonce is: that of the poll before means that an earlier answer came again. */
static enum fault judge_nonce(const struct letter *letter, struct workbench *bench,
                              struct str answer)
{
    struct packet packet;
    enum wire_reason reason;
    const struct session *session = &letter->record.answers;
    bool is_replayed = packet_parse(&bench->tools, answer, 0, &packet, &reason) == 0 &&
                       memcmp(packet.digest, session->digest, sizeof packet.digest) == 0 &&
                       packet_match(&bench->tools, &packet, session, &reason) == 0 &&
                       packet_open(&bench->tools, &packet, session, &bench->limits, &bench->bundle,
                                   &reason) == 0 &&
                       bench->bundle.has_timestamp && letter->agent->former_nonce != 0 &&
                       bench->bundle.timestamp == letter->agent->former_nonce;
    return is_replayed ? FAULT_REPLAYED : FAULT_WRONG_NONCE;
}

/* 0, -ENOKEY (without a key), or -EBADMSG with *fault. */
static int open_answer(struct letter *letter, struct workbench *bench, struct str answer,
                       const struct rsa_key *key, enum fault *fault)
{
    enum wire_reason reason = WIRE_NO_REASON;
    struct session *session = &letter->record.answers;
    const struct answer_expectation expectation = {
        .own = key,
        .server = letter->fleet->server,
        .server_name = str_from(letter->fleet->server_name),
        .nonce = letter->agent->nonce,
    };
    int code = answer_open(&bench->tools, answer, &expectation, &bench->limits, session,
                           &bench->bundle, &reason);
    if (code < 0 && code != -ENOKEY) {
        *fault = reason == WIRE_REASON_ANSWER_NONCE ? judge_nonce(letter, bench, answer)
                                                    : fault_of_wire(reason);
        return -EBADMSG;
    }
    return code;
}

static int open_with_key(struct letter *letter, struct workbench *bench, struct str answer,
                         enum fault *fault)
{
    const struct session former = letter->record.answers;
    if (take_key(letter) < 0) {
        *fault = FAULT_GENERATOR;
        return -ENOMEM;
    }
    int code = open_answer(letter, bench, answer, letter->key, fault);
    letter->record_changed |= memcmp(&former, &letter->record.answers, sizeof former) != 0;
    return code;
}

int agent_find_id(struct agent *agent, const struct fleet *fleet)
{
    struct client_id id;
    if (agent->id != 0) {
        return 0;
    }
    int code = identities_client_id(fleet->identities, agent->identity, &id);
    if (code == 0) {
        agent->id = client_id_number(&id);
    }
    return code;
}

static void note_arrival(struct letter *letter, const struct message *request)
{
    struct recipient recipient;
    if (agent_find_id(letter->agent, letter->fleet) < 0 ||
        recipient_parse(request->session_id, &recipient) < 0 || !recipient.is_flow) {
        return;
    }
    const struct ledger_record record = {
        .kind = LEDGER_DELIVERED,
        .agent = letter->agent->id,
        .a = ledger_flow(str_from(recipient.flow)),
        .b = request->request_id,
    };
    if (buffer_append(&letter->arrivals, str_make((const char *)&record, sizeof record)) < 0) {
        return; /* the ledger then knows of fewer requests than there were */
    }
}

/* The worker of a simulated agent: whatever it is asked for, it answers with what it was given;
 * "Status" and what begins so is answered with the status alone. */
static int execute(struct buffer *list, struct workbench *bench, const struct message *request,
                   size_t *count)
{
    struct message reply = {.session_id = request->session_id,
                            .args = request->args,
                            .args_type = request->args_type,
                            .request_id = request->request_id,
                            .response_id = 1,
                            .task_id = request->task_id,
                            .has_request_id = true,
                            .has_response_id = true,
                            .has_task_id = request->has_task_id};
    int code = 0;
    if (!str_starts_with(request->name, STR("Status"))) {
        if (reply.args.data == NULL) {
            reply.args = request->name;
            reply.args_type = STR("RDFString");
        }
        code = message_list_append(list, &reply);
        reply.response_id = 2;
    }
    *count += reply.response_id;
    buffer_clear(&bench->args);
    code = code < 0
               ? code
               : payload_write_status(&(struct status_payload){.code = STATUS_OK, .runtime_us = 1},
                                      &bench->args);
    reply.args = buffer_view(&bench->args);
    reply.args_type = STR("GrrStatus");
    reply.type = MESSAGE_STATUS;
    reply.has_type = true;
    return code < 0 ? code : message_list_append(list, &reply);
}

static void put_outbox(struct agent *agent, struct str bytes, uint64_t nonce, size_t unsent)
{
    struct outbox *former = agent->outbox;
    size_t others = former == NULL ? 0 : former->unsent;
    size_t old = former == NULL ? 0 : former->len;
    if (bytes.len == 0 || old + bytes.len > OUTBOX_MAX) {
        return;
    }
    struct outbox *outbox = realloc(former, sizeof *outbox + old + bytes.len);
    if (outbox != NULL) {
        memcpy(outbox->bytes + old, bytes.data, bytes.len);
        outbox->len = old + bytes.len;
        outbox->nonce = nonce;
        outbox->unsent = others + unsent;
        agent->outbox = outbox;
    }
}

static enum fault execute_all(struct letter *letter, struct workbench *bench)
{
    struct str rest = bench->bundle.list;
    struct message request;
    struct buffer replies;
    if (bench->bundle.count == 0) {
        return FAULT_NONE;
    }
    int code = 0;
    size_t count = 0;
    buffer_init(&replies, OUTBOX_MAX);
    while (code == 0 && message_next(&rest, &request) > 0) {
        note_arrival(letter, &request);
        code = execute(&replies, bench, &request, &count);
        letter->agent->is_fast |= request.require_fastpoll;
    }
    put_outbox(letter->agent, buffer_view(&replies), 0, count);
    buffer_done(&replies);
    return code == 0 ? FAULT_NONE : FAULT_GENERATOR;
}

enum fault letter_read(struct letter *letter, struct workbench *bench, struct str answer)
{
    enum fault fault = FAULT_NONE;
    int code = open_answer(letter, bench, answer, NULL, &fault);
    if (code == -ENOKEY) {
        code = open_with_key(letter, bench, answer, &fault);
    }
    letter_forget_key(letter);
    return code == 0 ? execute_all(letter, bench) : fault;
}

bool letter_read_at_once(struct letter *letter, struct workbench *bench, struct str answer,
                         enum fault *fault)
{
    if (answer.len > HEAVY_BYTES) {
        return false;
    }
    int code = open_answer(letter, bench, answer, NULL, fault);
    if (code == 0) {
        *fault = execute_all(letter, bench);
    }
    return code != -ENOKEY;
}

/* ---- Afterwards ---- */

static uint32_t mark_sequence(struct str args)
{
    struct field field;
    struct mark mark;
    if (field_next(&args, &field) <= 0 || field.type != FIELD_BYTES ||
        field.bytes.len < sizeof mark) {
        return 0;
    }
    memcpy(&mark, field.bytes.data, sizeof mark);
    return mark.sequence;
}

static void acknowledge(struct letter *letter, const struct message *message,
                        struct ledger_writer *ledger, struct letter_counts *counts)
{
    struct recipient recipient;
    struct ledger_record record = {.kind = LEDGER_MESSAGE, .agent = letter->agent->id};
    if (recipient_parse(message->session_id, &recipient) < 0) {
        return;
    }
    if (recipient.is_flow) {
        record.kind = LEDGER_RESPONSE;
        record.number = (uint32_t)message->response_id;
        record.a = ledger_flow(str_from(recipient.flow));
        record.b = message->request_id;
    } else {
        record.number = mark_sequence(message->args);
        record.a = letter->fleet->run;
    }
    counts->messages++;
    ledger_write(ledger, &record);
    if (recipient.is_flow && message->type == MESSAGE_STATUS) {
        record.kind = LEDGER_ANSWERED;
        counts->answered++;
        ledger_write(ledger, &record);
    }
}

struct letter_counts letter_acknowledge(struct letter *letter, struct ledger_writer *ledger)
{
    struct letter_counts counts = {.messages = 0};
    struct str rest = buffer_view(&letter->list);
    struct message message;
    if (rest.len > 0 && !letter->is_enrolment && agent_find_id(letter->agent, letter->fleet) == 0) {
        while (message_next(&rest, &message) > 0) {
            acknowledge(letter, &message, ledger, &counts);
        }
    }
    struct str arrivals = buffer_view(&letter->arrivals);
    struct ledger_record record;
    for (; arrivals.len >= sizeof record; arrivals = str_skip(arrivals, sizeof record)) {
        memcpy(&record, arrivals.data, sizeof record);
        ledger_write(ledger, &record);
        counts.delivered++;
    }
    return counts;
}

void letter_return(struct letter *letter, bool was_sent, bool was_refused)
{
    if (letter->is_enrolment) {
        return; /* the agent asks again when it is time */
    }
    put_outbox(letter->agent, buffer_view(&letter->list),
               was_sent && !was_refused ? letter->agent->nonce : 0, was_sent ? 0 : letter->unsent);
}

size_t agent_owes(const struct agent *agent)
{
    size_t count = 0;
    struct message message;
    struct str rest = agent->outbox == NULL ? str_make(NULL, 0)
                                            : str_make(agent->outbox->bytes, agent->outbox->len);
    while (rest.len > 0 && message_next(&rest, &message) > 0) {
        count++;
    }
    return count;
}
