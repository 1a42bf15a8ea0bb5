/* SPDX-License-Identifier: Apache-2.0 */
/* Sorting messages. Pure, any thread; everything lives in the poll's arena. */
#include "intake.h"

#include <errno.h>

static enum store_response_kind kind_of(enum message_type type)
{
    switch (type) {
    case MESSAGE_STATUS:
        return STORE_STATUS;
    case MESSAGE_ITERATOR:
        return STORE_ITERATOR;
    case MESSAGE_RESPONSE:
        break;
    }
    return STORE_MESSAGE;
}

static bool add_response(struct intake *intake, const struct message *message,
                         const struct recipient *recipient)
{
    struct store_response *response = &intake->responses[intake->response_count];
    *response = (struct store_response){
        .flow = str_from(recipient->flow), /* lives in the arena, see place() */
        .request = message->request_id,
        .response = message->response_id,
        .kind = kind_of(message->type),
        .args_type = message->args_type,
        .raw = message->raw,
        .args = message->args,
    };
    bool is_fine = store_check_response(response, NULL) == 0;
    intake->response_count += is_fine;
    return is_fine;
}

static bool add_message(struct intake *intake, const struct message *message,
                        enum wire_handler handler, uint64_t timestamp, uint32_t place)
{
    struct store_message *stored = &intake->messages[intake->message_count];
    *stored = (struct store_message){
        .handler = str_from(wire_handler_name(handler)),
        .packet_timestamp = timestamp,
        .place = place,
        .args_type = message->args_type,
        .raw = message->raw,
        .args = message->args,
    };
    bool is_fine = store_check_message(stored, NULL) == 0;
    intake->message_count += is_fine;
    return is_fine;
}

/* True unless the message is dropped. */
static bool place(struct intake *intake, const struct message *message, const struct bundle *bundle,
                  const struct client_id *source, uint32_t number, struct recipient *recipient)
{
    if (message->defect != MESSAGE_FINE || recipient_parse(message->session_id, recipient) < 0) {
        return false;
    }
    if (!recipient->is_flow) {
        /* Some handlers have no name: GRR's server drops what is for them, too. */
        return recipient->handler == WIRE_HANDLER_ENROL ||
               (wire_handler_name(recipient->handler)[0] != '\0' &&
                add_message(intake, message, recipient->handler, bundle->timestamp, number));
    }
    return strcmp(recipient->client.text, source->text) == 0 &&
           add_response(intake, message, recipient);
}

int intake_sort(const struct bundle *bundle, const struct client_id *source, struct arena *arena,
                struct intake *intake)
{
    struct str list = bundle->list;
    struct message message;
    uint32_t number = 0;
    *intake = (struct intake){.dropped = 0};
    if (bundle->count == 0) {
        return 0;
    }
    struct recipient *recipients = arena_calloc(arena, bundle->count, sizeof *recipients);
    intake->responses = arena_calloc(arena, bundle->count, sizeof *intake->responses);
    intake->messages = arena_calloc(arena, bundle->count, sizeof *intake->messages);
    if (recipients == NULL || intake->responses == NULL || intake->messages == NULL) {
        return -ENOMEM;
    }
    while (number < bundle->count && message_next(&list, &message) > 0) {
        if (!place(intake, &message, bundle, source, number, &recipients[number])) {
            intake->dropped++;
        }
        number++;
    }
    return 0;
}
