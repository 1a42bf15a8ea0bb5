/* SPDX-License-Identifier: Apache-2.0 */
/* Raw messages, good and evil, against the parser: each whole, byte by byte, cut in two everywhere,
 * and behind a good message. What the parser cannot decide alone (which member, how long to wait)
 * is told of these cases by the programs' own tests. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/http1_drive.h"
#include "support/support.h"

#define CASES "tests/data/http1_cases.jsonl"

/* Where the parser stands after all bytes of a case. */
struct expectation {
    const char *id;
    unsigned messages; /* heads understood */
    enum drive_state state;
    size_t body_bytes; /* read so far */
    enum http1_reason reason;
    size_t offset; /* of what was refused, in the stream */
};

#define READ(id, messages, state, body)                       \
    {                                                         \
        id, messages, DRIVE_##state, body, HTTP1_NO_REASON, 0 \
    }
#define REFUSED(id, messages, reason, offset)                         \
    {                                                                 \
        id, messages, DRIVE_REFUSED, 0, HTTP1_REASON_##reason, offset \
    }

static const struct expectation expectations[] = {
    REFUSED("A01", 0, LENGTH_AND_CODING, 59),
    REFUSED("A03", 0, LENGTH_AND_CODING, 58),
    REFUSED("A05", 0, LENGTH_DUPLICATE, 58),
    REFUSED("A06", 0, LENGTH, 55),
    REFUSED("A08", 0, LENGTH, 55),
    REFUSED("A10", 0, LENGTH, 55),
    REFUSED("A11", 0, LENGTH, 55),
    REFUSED("A13", 0, LENGTH, 55),
    REFUSED("A15", 0, VALUE, 56),
    REFUSED("A16", 0, LENGTH, 55),
    REFUSED("A18", 0, LENGTH, 55),
    REFUSED("A20", 0, LENGTH, 55),
    READ("A21", 1, HEAD, 10),
    REFUSED("A23", 0, LENGTH_AND_CODING, 58),
    REFUSED("A25", 0, CODING_UNSUPPORTED, 39),
    REFUSED("A26", 0, CODING_UNSUPPORTED, 39),
    REFUSED("A28", 0, CODING, 39),
    REFUSED("A30", 0, CODING, 39),
    REFUSED("A31", 0, CODING, 39),
    REFUSED("A33", 0, CODING_UNSUPPORTED, 39),
    REFUSED("A35", 0, CODING, 39),
    REFUSED("A36", 0, VALUE, 58),
    REFUSED("A38", 0, VALUE, 65),
    REFUSED("A40", 0, CODING_UNSUPPORTED, 39),
    REFUSED("A41", 0, CODING_DUPLICATE, 67),
    REFUSED("A43", 0, ALIAS, 39),
    REFUSED("A45", 0, OBS_FOLD, 64),
    REFUSED("A46", 0, SPACE_BEFORE_COLON, 56),
    REFUSED("A48", 0, BODY_UNEXPECTED, 26),
    READ("A50", 1, HEAD, 0),
    READ("A51", 1, HEAD, 41),
    READ("A53", 1, CLOSED, 3),
    REFUSED("B01", 1, BARE_LF, 70),
    REFUSED("B03", 1, BARE_LF, 78),
    REFUSED("B05", 1, BARE_CR, 71),
    REFUSED("B06", 1, BARE_CR, 71),
    REFUSED("B08", 1, CHUNK_END, 75),
    REFUSED("B10", 1, CHUNK_SIZE, 69),
    REFUSED("B11", 1, CHUNK_SIZE, 69),
    REFUSED("B13", 1, CHUNK_SIZE, 69),
    REFUSED("B15", 1, CHUNK_SIZE, 69),
    REFUSED("B16", 1, CHUNK_SIZE, 69),
    REFUSED("B18", 1, CHUNK_SIZE, 85),
    REFUSED("B20", 1, CHUNK_SIZE, 85),
    READ("B21", 1, HEAD, 3),
    REFUSED("B23", 1, BARE_CR, 73),
    REFUSED("B25", 1, CHUNK_EXTENSION, 71),
    REFUSED("B26", 1, CHUNK_EXTENSION, 72),
    READ("B28", 1, HEAD, 3),
    READ("B30", 1, HEAD, 3),
    READ("B31", 1, HEAD, 3),
    READ("B33", 1, CHUNKED, 2),
    READ("B35", 1, HEAD, 4096),
    REFUSED("C01", 0, BARE_LF, 14),
    REFUSED("C03", 0, BARE_LF, 25),
    REFUSED("C05", 0, BARE_CR, 29),
    REFUSED("C06", 0, BARE_CR, 29),
    REFUSED("C08", 0, VALUE, 29),
    REFUSED("C10", 0, VALUE, 29),
    READ("C11", 1, HEAD, 0),
    REFUSED("C13", 0, OBS_FOLD, 31),
    REFUSED("C15", 0, SPACE_BEFORE_COLON, 26),
    REFUSED("C16", 0, SPACE_BEFORE_COLON, 26),
    REFUSED("C18", 0, NO_COLON, 28),
    REFUSED("C20", 0, NAME, 26),
    REFUSED("C21", 0, NAME, 26),
    READ("C23", 1, HEAD, 0),
    REFUSED("C25", 0, BARE_LF, 0),
    REFUSED("C26", 0, TOO_MANY_FIELDS, 807),
    REFUSED("C28", 0, NAME_TOO_LONG, 25),
    READ("C30", 0, HEAD, 0),
    REFUSED("D01", 0, VERSION, 5),
    REFUSED("D03", 0, METHOD, 3),
    REFUSED("D05", 0, VERSION, 14),
    REFUSED("D06", 0, VERSION, 6),
    REFUSED("D08", 0, VERSION, 6),
    REFUSED("D10", 0, VERSION_UNSUPPORTED, 6),
    REFUSED("D11", 0, VERSION_UNSUPPORTED, 6),
    READ("D13", 1, HEAD, 0),
    REFUSED("D15", 0, METHOD_TOO_LONG, 0),
    REFUSED("D16", 0, METHOD_REFUSED, 0),
    READ("D18", 1, HEAD, 0),
    REFUSED("D20", 0, TARGET_FORM, 4),
    REFUSED("D21", 0, TARGET, 6),
    REFUSED("D23", 0, TARGET, 6),
    READ("D25", 1, HEAD, 0),
    READ("D26", 1, HEAD, 0),
    REFUSED("D28", 0, USERINFO, 11),
    REFUSED("D30", 0, HOST_MISSING, 0),
    READ("D31", 1, CLOSED, 0),
    REFUSED("D33", 0, HOST_DUPLICATE, 25),
    REFUSED("D35", 0, HOST, 21),
    REFUSED("D36", 0, HOST, 22),
    REFUSED("D38", 0, TARGET_TOO_LONG, 4),
    REFUSED("D41", 0, TARGET, 6),
    REFUSED("D42", 0, TARGET, 5),
    REFUSED("D44", 0, VERSION, 6),
    READ("D40", 1, HEAD, 0),
    READ("E01", 1, HEAD, 0),
    REFUSED("E03", 0, CONNECTION, 51),
    READ("E05", 1, HEAD, 0),
    READ("E06", 1, HEAD, 0),
    READ("E08", 1, HEAD, 0),
    READ("E10", 2, HEAD, 0),
    READ("E11", 1, CLOSED, 0),
    READ("E13", 1, BODY, 0),
    REFUSED("E15", 0, EXPECTATION, 47),
    REFUSED("E16", 0, EXPECTATION, 47),
    READ("E18", 1, HEAD, 0),
    READ("E20", 1, HEAD, 0),
    READ("E21", 1, BODY, 3),
    REFUSED("F01", 0, LENGTH_AND_CODING, 36),
    REFUSED("F03", 0, LENGTH, 33),
    READ("F05", 2, HEAD, 9),
    READ("F06", 1, HEAD, 0),
    READ("F08", 1, HEAD, 3),
    READ("F10", 1, HEAD, 0),
    REFUSED("F11", 0, SWITCHING, 9),
    READ("F13", 100, HEAD, 0),
    READ("F15", 1, CHUNKED, 2),
    READ("F16", 1, UNTIL_CLOSE, 3),
    REFUSED("F18", 0, STATUS, 8),
    REFUSED("F20", 0, VERSION_UNSUPPORTED, 0),
    REFUSED("F21", 0, BARE_LF, 15),
    REFUSED("F23", 0, OBS_FOLD, 23),
    READ("F25", 1, HEAD, 0),
    READ("F28", 1, HEAD, 3),
    READ("F30", 2, HEAD, 0),
    REFUSED("I01", 0, LENGTH_AND_CODING, 59),
    REFUSED("I03", 0, LENGTH_DUPLICATE, 58),
    REFUSED("I05", 0, OBS_FOLD, 64),
    REFUSED("I06", 0, BARE_LF, 15),
    REFUSED("I08", 0, HOST_DUPLICATE, 25),
    READ("I10", 1, HEAD, 0),
    READ("I11", 1, BODY, 0),
    READ("J01", 1, HEAD, 5),
    READ("J03", 1, CLOSED, 0),
    READ("J05", 1, HEAD, 0),
    READ("J06", 1, HEAD, 3),
    READ("J08", 10, HEAD, 0),
    READ("J10", 1, HEAD, 0),
};

struct raw_case {
    char id[8];
    char side[16];
    char *raw; /* NULL: the case is not about bytes */
    size_t len;
    char *required;
};

/* The value of a string member; the cases hold no escapes where these tests look. */
static char *member(const char *line, const char *name)
{
    char key[32];
    snprintf(key, sizeof key, "\"%s\": \"", name);
    const char *start = strstr(line, key);
    if (start == NULL) {
        return NULL;
    }
    start += strlen(key);
    return strndup(start, strcspn(start, "\""));
}

static char *from_hex(const char *hex, size_t *len)
{
    *len = strlen(hex) / 2;
    char *bytes = malloc(*len + 1);
    for (size_t i = 0; i < *len; i++) {
        unsigned byte;
        cr_assert_eq(sscanf(hex + 2 * i, "%2x", &byte), 1);
        bytes[i] = (char)byte;
    }
    return bytes;
}

static struct raw_case read_case(const char *line)
{
    struct raw_case c = {.raw = NULL};
    char *id = member(line, "id");
    char *side = member(line, "side");
    char *hex = member(line, "raw_hex");
    cr_assert(id != NULL && side != NULL, "a case without id or side: %.80s", line);
    snprintf(c.id, sizeof c.id, "%s", id);
    snprintf(c.side, sizeof c.side, "%s", side);
    c.required = member(line, "required");
    if (hex != NULL && hex[0] != '\0') {
        c.raw = from_hex(hex, &c.len);
    }
    free(id);
    free(side);
    free(hex);
    return c;
}

static const struct expectation *expectation_of(const struct raw_case *c)
{
    for (size_t i = 0; i < ARRAY_LEN(expectations); i++) {
        if (strcmp(expectations[i].id, c->id) == 0) {
            return &expectations[i];
        }
    }
    return NULL;
}

/* Call `check` for each case made of bytes; at least 140 there are. */
static void for_each_case(void (*check)(const struct raw_case *c, const struct expectation *e))
{
    size_t len;
    unsigned count = 0;
    char *file = read_file(CASES, &len);
    cr_assert_not_null(file, "cannot read %s", CASES);
    struct str rest = str_make(file, len);
    struct str line;
    while (str_split(&rest, '\n', &line)) {
        if (line.len == 0) {
            continue;
        }
        char *text = str_dup(line);
        struct raw_case c = read_case(text);
        if (c.raw != NULL) {
            const struct expectation *e = expectation_of(&c);
            cr_assert_not_null(e, "nobody says what becomes of case %s", c.id);
            check(&c, e);
            count++;
        }
        free(c.raw);
        free(c.required);
        free(text);
    }
    free(file);
    cr_assert_eq(count, ARRAY_LEN(expectations));
}

static void start(struct drive *drive, const struct raw_case *c)
{
    drive_init(drive, strcmp(c->side, "backend") == 0, HTTP1_GET);
}

static void assert_outcome(const struct drive *drive, const struct raw_case *c,
                           const struct expectation *e, size_t before, const char *how)
{
    cr_assert_eq(drive->state, e->state, "%s %s: state %d, not %d (%s)", c->id, how, drive->state,
                 e->state, http1_reason_code(drive->refusal.reason));
    cr_assert_eq(drive->messages, e->messages + (before > 0), "%s %s: %u messages", c->id, how,
                 drive->messages);
    cr_assert_eq(drive->refusal.reason, e->reason, "%s %s: %s", c->id, how,
                 http1_reason_code(drive->refusal.reason));
    if (e->state == DRIVE_REFUSED) {
        cr_assert_eq(drive->refusal.offset, before + e->offset, "%s %s: offset %zu", c->id, how,
                     drive->refusal.offset);
    } else {
        cr_assert_eq(buffer_size(&drive->bodies), e->body_bytes, "%s %s: %zu body bytes", c->id,
                     how, buffer_size(&drive->bodies));
    }
}

static void check_whole(const struct raw_case *c, const struct expectation *e)
{
    static struct drive drive;
    start(&drive, c);
    drive_feed(&drive, str_make(c->raw, c->len));
    assert_outcome(&drive, c, e, 0, "whole");
    drive_done(&drive);
}

Test(http1_cases, come_out_right_when_whole)
{
    for_each_case(check_whole);
}

/* "400+close", "501/400+close", "431 or 400+close", "502, conn closed": one of the three-digit
 * numbers in the requirement is what the reason's status must be. */
static void check_status(const struct raw_case *c, const struct expectation *e)
{
    char status[8];
    if (e->state != DRIVE_REFUSED || strcmp(c->side, "backend") == 0) {
        return; /* whatever a member did wrong, the client is told 502 */
    }
    snprintf(status, sizeof status, "%u", http1_reason_status(e->reason));
    cr_assert_not_null(strstr(c->required, status), "%s: status %s, but required is: %s", c->id,
                       status, c->required);
}

Test(http1_cases, are_refused_with_the_status_that_is_required)
{
    for_each_case(check_status);
}

static void check_bytewise(const struct raw_case *c, const struct expectation *e)
{
    static struct drive drive;
    start(&drive, c);
    for (size_t n = 1; n <= c->len; n++) {
        drive_feed(&drive, str_make(c->raw, n));
    }
    assert_outcome(&drive, c, e, 0, "byte by byte");
    drive_done(&drive);
}

Test(http1_cases, come_out_the_same_byte_by_byte)
{
    for_each_case(check_bytewise);
}

static void check_split(const struct raw_case *c, const struct expectation *e)
{
    static struct drive drive;
    /* Every offset of the short ones; of the few long ones, which repeat themselves, every 37th. */
    size_t step = c->len > 2048 ? 37 : 1;
    for (size_t cut = 1; cut < c->len; cut += step) {
        char how[32];
        snprintf(how, sizeof how, "cut at %zu", cut);
        start(&drive, c);
        drive_feed(&drive, str_make(c->raw, cut));
        drive_feed(&drive, str_make(c->raw, c->len));
        assert_outcome(&drive, c, e, 0, how);
        drive_done(&drive);
    }
}

Test(http1_cases, come_out_the_same_cut_in_two_anywhere)
{
    for_each_case(check_split);
}

static void check_behind_good(const struct raw_case *c, const struct expectation *e)
{
    static struct drive drive;
    struct str good = strcmp(c->side, "backend") == 0
                          ? STR("HTTP/1.1 204 No Content\r\n\r\n")
                          : STR("GET /good HTTP/1.1\r\nHost: a\r\n\r\n");
    char *stream = malloc(good.len + c->len);
    memcpy(stream, good.data, good.len);
    memcpy(stream + good.len, c->raw, c->len);
    start(&drive, c);
    drive_feed(&drive, str_make(stream, good.len + c->len));
    assert_outcome(&drive, c, e, good.len, "behind a good message");
    drive_done(&drive);
    free(stream);
}

Test(http1_cases, come_out_the_same_behind_a_good_message)
{
    for_each_case(check_behind_good);
}

/* Whatever was read must have been at its end where the next message starts. */
static void check_before_good(const struct raw_case *c, const struct expectation *e)
{
    static struct drive drive;
    struct str good = STR("GET /good HTTP/1.1\r\nHost: a\r\n\r\n");
    bool has_no_end = strcmp(c->id, "C30") == 0;
    if (e->state != DRIVE_HEAD || strcmp(c->side, "backend") == 0 || has_no_end) {
        return;
    }
    char *stream = malloc(good.len + c->len);
    memcpy(stream, c->raw, c->len);
    memcpy(stream + c->len, good.data, good.len);
    start(&drive, c);
    drive_feed(&drive, str_make(stream, good.len + c->len));
    cr_assert_eq(drive.messages, e->messages + 1, "%s", c->id);
    cr_assert(drive_may_end(&drive), "%s", c->id);
    drive_done(&drive);
    free(stream);
}

Test(http1_cases, leave_the_next_message_alone)
{
    for_each_case(check_before_good);
}
