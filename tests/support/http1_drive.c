/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds the HTTP/1.1 parser as a connection would. */
#include "support/http1_drive.h"

#include "base/check.h"
#include "support/support.h"

static void start_message(struct drive *drive)
{
    http1_request_init(&drive->request, drive->fields);
    http1_response_init(&drive->response, drive->fields);
    drive->state = DRIVE_HEAD;
}

void drive_init(struct drive *drive, bool responses, enum http1_method method)
{
    *drive = (struct drive){.responses = responses, .method = method};
    drive->limits = HTTP1_LIMITS_DEFAULT;
    drive->chunked_limits = HTTP1_CHUNKED_LIMITS_DEFAULT;
    buffer_init(&drive->bodies, 1 << 20);
    start_message(drive);
}

void drive_done(struct drive *drive)
{
    buffer_done(&drive->bodies);
}

static ssize_t result_of(struct drive *drive, ssize_t result, const struct http1_refusal *refusal)
{
    if (result < 0) {
        drive->state = DRIVE_REFUSED;
        drive->refusal = *refusal;
        drive->refusal.offset += drive->used;
    }
    return result;
}

static void end_message(struct drive *drive)
{
    const struct http1_head *head = drive->responses ? &drive->response.head : &drive->request.head;
    bool is_interim = drive->responses && drive->response.status < 200;
    bool lives_on = head->keep_alive || is_interim;
    start_message(drive);
    drive->state = lives_on ? DRIVE_HEAD : DRIVE_CLOSED;
}

static void start_body(struct drive *drive, const struct http1_head *head)
{
    drive->messages++;
    switch (head->framing) {
    case HTTP1_BODY_NONE:
        end_message(drive);
        return;
    case HTTP1_BODY_LENGTH:
        drive->left = head->body_bytes;
        drive->state = DRIVE_BODY;
        if (drive->left == 0) {
            end_message(drive);
        }
        return;
    case HTTP1_BODY_CHUNKED:
        http1_chunked_init(&drive->chunked);
        drive->state = DRIVE_CHUNKED;
        return;
    case HTTP1_BODY_UNTIL_CLOSE:
        drive->state = DRIVE_UNTIL_CLOSE;
        return;
    }
}

static ssize_t feed_head(struct drive *drive, struct str input)
{
    struct http1_refusal refusal = {HTTP1_NO_REASON, 0};
    ssize_t n =
        drive->responses
            ? http1_response_parse(&drive->response, &drive->limits, drive->method, input, &refusal)
            : http1_request_parse(&drive->request, &drive->limits, input, &refusal);
    if (n > 0) {
        start_body(drive, drive->responses ? &drive->response.head : &drive->request.head);
    }
    return result_of(drive, n, &refusal);
}

static ssize_t feed_chunked(struct drive *drive, struct str input)
{
    struct http1_refusal refusal = {HTTP1_NO_REASON, 0};
    struct str data = {NULL, 0};
    ssize_t n =
        http1_chunked_decode(&drive->chunked, &drive->chunked_limits, input, &data, &refusal);
    if (n >= 0) {
        CHECK(buffer_append(&drive->bodies, data) == 0);
        if (http1_chunked_is_done(&drive->chunked)) {
            end_message(drive);
        }
    }
    return result_of(drive, n, &refusal);
}

static ssize_t feed_body(struct drive *drive, struct str input)
{
    struct str body = str_first(input, drive->left < input.len ? drive->left : input.len);
    if (drive->state == DRIVE_UNTIL_CLOSE) {
        body = input;
    } else {
        drive->left -= body.len;
    }
    CHECK(buffer_append(&drive->bodies, body) == 0);
    if (drive->state == DRIVE_BODY && drive->left == 0) {
        end_message(drive);
    }
    return (ssize_t)body.len;
}

static ssize_t feed_some(struct drive *drive, struct str input)
{
    switch (drive->state) {
    case DRIVE_HEAD:
        return feed_head(drive, input);
    case DRIVE_CHUNKED:
        return feed_chunked(drive, input);
    case DRIVE_BODY:
    case DRIVE_UNTIL_CLOSE:
        return feed_body(drive, input);
    case DRIVE_CLOSED:
    case DRIVE_REFUSED:
        break;
    }
    return 0;
}

void drive_feed(struct drive *drive, struct str stream)
{
    struct guarded copy = guarded_copy(str_skip(stream, drive->used));
    struct str rest = str_make(copy.data, copy.len);
    ssize_t n;
    do {
        n = feed_some(drive, rest);
        rest = str_skip(rest, n > 0 ? (size_t)n : 0);
        drive->used += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    guarded_free(&copy);
}

bool drive_may_end(const struct drive *drive)
{
    switch (drive->state) {
    case DRIVE_HEAD:
        return drive->request.head.base == NULL && drive->response.head.base == NULL;
    case DRIVE_UNTIL_CLOSE:
    case DRIVE_CLOSED:
        return true;
    default:
        return false;
    }
}
