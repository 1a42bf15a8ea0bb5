/* SPDX-License-Identifier: Apache-2.0 */
/* A request as one line. It is written for every request, so there is no printf() here: room is
 * made once for the longest line that the texts could give, and then bytes are put down. Pure. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "accesslog.h"
#include "base/check.h"
#include "base/utf8.h"
#include "member.h"

enum {
    TARGET_MAX = 4096, /* bytes shown of a target */
    TEXT_MAX = 1024,   /* and of every other text */
    ESCAPED_MAX = 6,   /* bytes that one byte can become: \u00ff */
    FIXED_MAX = 1536,  /* the rest of a line: names of fields, numbers, addresses, marks of cuts */
};
/* The target; method, host, user agent, referer and client; request id and member. */
static_assert(FIXED_MAX + ESCAPED_MAX *
                              (TARGET_MAX + 5 * TEXT_MAX + REQUEST_ID_SIZE + MEMBER_NAME_SIZE) <=
                  ACCESS_LINE_MAX,
              "see longest_line()");

/* How bytes of a peer are put. */
enum escape {
    ESCAPE_JSON,
    ESCAPE_TEXT,  /* in quotes, for people: UTF-8 stays */
    ESCAPE_NGINX, /* as nginx does it: ASCII only */
};

/* ---- Numbers ---- */

static char *put(char *at, struct str text)
{
    memcpy(at, text.data, text.len);
    return at + text.len;
}

#define PUT(at, literal) put((at), STR(literal))

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324"
                                  "25262728293031323334353637383940414243444546474849"
                                  "50515253545556575859606162636465666768697071727374"
                                  "75767778798081828384858687888990919293949596979899";

static char *put_pair(char *at, unsigned n)
{
    memcpy(at, digit_pairs + (size_t)2 * n, 2);
    return at + 2;
}

static char *put_number(char *at, uint64_t n)
{
    char digits[20];
    char *first = digits + sizeof digits;
    while (n >= 100) {
        first -= 2;
        put_pair(first, (unsigned)(n % 100));
        n /= 100;
    }
    if (n >= 10) {
        first -= 2;
        put_pair(first, (unsigned)n);
    } else {
        *--first = (char)('0' + n);
    }
    return put(at, str_make(first, (size_t)(digits + sizeof digits - first)));
}

static char *put_duration(char *at, usec_t duration)
{
    return put_number(at, duration < 0 ? 0 : (uint64_t)duration);
}

/* ---- Time ---- */

struct moment {
    unsigned year, month, day, hour, minute, second, microsecond;
};

/* Days since 1970 to a date of the Gregorian calendar, in years that begin in March, so that the
 * leap day is the last. */
static void set_date(struct moment *moment, unsigned days)
{
    unsigned since_0000 = days + 719468; /* days from 0000-03-01 */
    unsigned era = since_0000 / 146097;  /* of 400 years */
    unsigned in_era = since_0000 % 146097;
    unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * in_year + 2) / 153; /* from March on */
    moment->day = in_year - (153 * month + 2) / 5 + 1;
    moment->month = month < 10 ? month + 3 : month - 9;
    moment->year = era * 400 + year + (moment->month <= 2);
}

/* Times before 1970 and after 9999 become the nearest one within. */
static struct moment moment_from(usec_t wall)
{
    const usec_t last = INT64_C(253402300799999999);
    struct moment moment;
    wall = wall < 0 ? 0 : wall > last ? last : wall;
    uint64_t seconds = (uint64_t)wall / 1000000;
    unsigned in_day = (unsigned)(seconds % 86400);
    set_date(&moment, (unsigned)(seconds / 86400));
    moment.hour = in_day / 3600;
    moment.minute = in_day / 60 % 60;
    moment.second = in_day % 60;
    moment.microsecond = (unsigned)((uint64_t)wall % 1000000);
    return moment;
}

static char *put_clock(char *at, const struct moment *moment)
{
    at = put_pair(at, moment->hour);
    *at++ = ':';
    at = put_pair(at, moment->minute);
    *at++ = ':';
    return put_pair(at, moment->second);
}

/* 2026-05-01T12:34:56.123456Z */
static char *put_rfc3339(char *at, usec_t wall)
{
    struct moment moment = moment_from(wall);
    at = put_pair(at, moment.year / 100);
    at = put_pair(at, moment.year % 100);
    *at++ = '-';
    at = put_pair(at, moment.month);
    *at++ = '-';
    at = put_pair(at, moment.day);
    *at++ = 'T';
    at = put_clock(at, &moment);
    *at++ = '.';
    at = put_pair(at, moment.microsecond / 10000);
    at = put_pair(at, moment.microsecond / 100 % 100);
    at = put_pair(at, moment.microsecond % 100);
    *at++ = 'Z';
    return at;
}

/* 01/May/2026:12:34:56 +0000 */
static char *put_common_time(char *at, usec_t wall)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct moment moment = moment_from(wall);
    at = put_pair(at, moment.day);
    *at++ = '/';
    at = put(at, str_make(months + (size_t)3 * (moment.month - 1), 3));
    *at++ = '/';
    at = put_pair(at, moment.year / 100);
    at = put_pair(at, moment.year % 100);
    *at++ = ':';
    at = put_clock(at, &moment);
    return PUT(at, " +0000");
}

/* ---- Texts ---- */

/* Printable ASCII without quote and backslash, which stays as it is in every format. */
static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static char *put_escaped_byte(char *at, unsigned char byte, enum escape escape)
{
    static const char lower[] = "0123456789abcdef";
    static const char upper[] = "0123456789ABCDEF";
    const char *digits = escape == ESCAPE_NGINX ? upper : lower;
    if (escape != ESCAPE_NGINX && (byte == '"' || byte == '\\')) {
        *at++ = '\\';
        *at++ = (char)byte;
        return at;
    }
    /* JSON knows no \x, and a byte that is no character has no other notation there than the code
     * point of the same number. */
    at = escape == ESCAPE_JSON ? PUT(at, "\\u00") : PUT(at, "\\x");
    *at++ = digits[byte >> 4];
    *at++ = digits[byte & 0xf];
    return at;
}

/* Length of the character beyond ASCII at the front, 0 when it cannot stay as it is. */
static size_t kept_character(struct str text, enum escape escape)
{
    size_t len = escape == ESCAPE_NGINX ? 0 : utf8_sequence(text);
    return len > 1 && !utf8_steers_terminal((const unsigned char *)text.data) ? len : 0;
}

static char *put_escaped(char *at, struct str text, size_t max, enum escape escape)
{
    bool is_cut = text.len > max;
    text = str_first(text, max);
    while (text.len > 0) {
        size_t run = 0;
        while (run < text.len && is_plain((unsigned char)text.data[run])) {
            run++;
        }
        if (run == 0) {
            run = kept_character(text, escape);
        }
        if (run == 0) {
            at = put_escaped_byte(at, (unsigned char)text.data[0], escape);
            text = str_skip(text, 1);
        } else {
            at = put(at, str_first(text, run));
            text = str_skip(text, run);
        }
    }
    return is_cut ? PUT(at, "...") : at;
}

/* In quotes, or `none` when there is no text. */
static char *put_quoted(char *at, struct str text, size_t max, enum escape escape, struct str none)
{
    if (text.len == 0) {
        return put(at, none);
    }
    *at++ = '"';
    at = put_escaped(at, text, max, escape);
    *at++ = '"';
    return at;
}

static char *put_ipv4(char *at, const unsigned char bytes[4], uint16_t port)
{
    for (size_t i = 0; i < 4; i++) {
        at = put_number(at, bytes[i]);
        *at++ = i < 3 ? '.' : ':';
    }
    return put_number(at, port);
}

/* As address_format(), quickly for what nearly every peer is. */
static char *put_address(char *at, const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];
    unsigned char bytes[4];
    if (address == NULL || address->len == 0) {
        return at;
    }
    if (address->any.sa_family == AF_INET) {
        memcpy(bytes, &address->ipv4.sin_addr, sizeof bytes);
        return put_ipv4(at, bytes, ntohs(address->ipv4.sin_port));
    }
    if (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->ipv6.sin6_addr)) {
        memcpy(bytes, address->ipv6.sin6_addr.s6_addr + 12, sizeof bytes);
        return put_ipv4(at, bytes, ntohs(address->ipv6.sin6_port));
    }
    /* A unix path may hold anything. */
    return put_escaped(at, str_from(address_format(address, text)), sizeof text, ESCAPE_JSON);
}

static struct str member_name(const struct record *record)
{
    return record->member == NULL ? STR("") : str_from(record->member->name);
}

/* ---- Formats ---- */

static char *json_text(char *at, struct str key, struct str text, size_t max)
{
    at = put(at, key);
    return put_quoted(at, text, max, ESCAPE_JSON, STR("null"));
}

static char *json_phases(char *at, const struct record *record)
{
    at = put_duration(PUT(at, ",\"receive_us\":"), record->receive);
    at = put_duration(PUT(at, ",\"queue_us\":"), record->queue);
    at = put_duration(PUT(at, ",\"connect_us\":"), record->connect);
    at = put_duration(PUT(at, ",\"wait_us\":"), record->wait);
    return put_duration(PUT(at, ",\"total_us\":"), record->total);
}

static char *write_json(char *at, const struct record *record)
{
    at = put_rfc3339(PUT(at, "{\"time\":\""), record->wall);
    at = json_text(at, STR("\",\"request_id\":"), str_from(record->request_id), TEXT_MAX);
    at = json_text(at, STR(",\"client\":"), record->client, TEXT_MAX);
    at = put_address(PUT(at, ",\"peer\":\""), record->peer);
    at = put_number(PUT(at, "\",\"connection\":"), record->connection);
    at = json_text(at, STR(",\"method\":"), record->method, TEXT_MAX);
    at = json_text(at, STR(",\"target\":"), record->target, TARGET_MAX);
    at = json_text(at, STR(",\"host\":"), record->host, TEXT_MAX);
    at = put_number(PUT(at, ",\"status\":"), record->status);
    at = json_text(at, STR(",\"reason\":"), str_from(reason_code(record->reason)), TEXT_MAX);
    at = json_text(at, STR(",\"member\":"), member_name(record), TEXT_MAX);
    at = put_number(PUT(at, ",\"retries\":"), record->retries);
    at = put_number(PUT(at, ",\"bytes_in\":"), record->bytes_in);
    at = put_number(PUT(at, ",\"bytes_out\":"), record->bytes_out);
    at = json_phases(at, record);
    at = record->is_tls ? PUT(at, ",\"tls\":true") : PUT(at, ",\"tls\":false");
    at = record->is_reused ? PUT(at, ",\"reused\":true") : PUT(at, ",\"reused\":false");
    at = json_text(at, STR(",\"user_agent\":"), record->user_agent, TEXT_MAX);
    at = json_text(at, STR(",\"referer\":"), record->referer, TEXT_MAX);
    return PUT(at, "}\n");
}

/* 1234567 as 1234.567ms */
static char *put_milliseconds(char *at, usec_t duration)
{
    uint64_t n = duration < 0 ? 0 : (uint64_t)duration;
    unsigned rest = (unsigned)(n % 1000);
    at = put_number(at, n / 1000);
    *at++ = '.';
    *at++ = (char)('0' + rest / 100);
    at = put_pair(at, rest % 100);
    return PUT(at, "ms");
}

static char *put_request(char *at, const struct record *record, enum escape escape)
{
    at = put_escaped(at, record->method, TEXT_MAX, escape);
    *at++ = ' ';
    return put_escaped(at, record->target, TARGET_MAX, escape);
}

/* Phases are told only where they were reached. */
static char *human_phase(char *at, struct str name, usec_t duration)
{
    return duration > 0 ? put_milliseconds(put(at, name), duration) : at;
}

static char *human_rest(char *at, const struct record *record)
{
    at = human_phase(at, STR(" queue="), record->queue);
    at = human_phase(at, STR(" connect="), record->connect);
    at = human_phase(at, STR(" wait="), record->wait);
    at = record->retries > 0 ? put_number(PUT(at, " retries="), record->retries) : at;
    if (record->reason != REASON_NONE) {
        at = put(PUT(at, " reason="), str_from(reason_code(record->reason)));
    }
    if (record->request_id[0] != '\0') {
        at = put_escaped(PUT(at, " id="), str_from(record->request_id), TEXT_MAX, ESCAPE_TEXT);
    }
    return PUT(at, "\n");
}

/* TIME CLIENT STATUS "METHOD TARGET" -> MEMBER TOTAL in=N out=N ... */
static char *write_human(char *at, const struct record *record)
{
    at = put_rfc3339(at, record->wall);
    *at++ = ' ';
    at = record->client.len > 0 ? put_escaped(at, record->client, TEXT_MAX, ESCAPE_TEXT)
                                : put_address(at, record->peer);
    *at++ = ' ';
    at = record->status == 0 ? PUT(at, "---") : put_number(at, record->status);
    at = PUT(at, " \"");
    at = record->method.len == 0 ? PUT(at, "-") : put_request(at, record, ESCAPE_TEXT);
    at = PUT(at, "\" -> ");
    at = record->member == NULL ? PUT(at, "-")
                                : put_escaped(at, member_name(record), TEXT_MAX, ESCAPE_TEXT);
    *at++ = ' ';
    at = put_milliseconds(at, record->total);
    at = put_number(PUT(at, " in="), record->bytes_in);
    at = put_number(PUT(at, " out="), record->bytes_out);
    return human_rest(at, record);
}

static char *combined_request(char *at, const struct record *record)
{
    if (record->method.len == 0) {
        return PUT(at, "-");
    }
    at = put_request(at, record, ESCAPE_NGINX);
    at = PUT(at, " HTTP/1.");
    *at++ = record->minor == 0 ? '0' : '1';
    return at;
}

/* CLIENT - - [TIME] "REQUEST" STATUS BYTES "REFERER" "USER AGENT" */
static char *write_combined(char *at, const struct record *record)
{
    at = record->client.len > 0 ? put_escaped(at, record->client, TEXT_MAX, ESCAPE_NGINX)
                                : PUT(at, "-");
    at = put_common_time(PUT(at, " - - ["), record->wall);
    at = combined_request(PUT(at, "] \""), record);
    at = PUT(at, "\" ");
    at = record->status == 0 ? PUT(at, "000") : put_number(at, record->status);
    *at++ = ' ';
    at = put_number(at, record->bytes_out);
    *at++ = ' ';
    at = put_quoted(at, record->referer, TEXT_MAX, ESCAPE_NGINX, STR("\"-\""));
    *at++ = ' ';
    at = put_quoted(at, record->user_agent, TEXT_MAX, ESCAPE_NGINX, STR("\"-\""));
    return PUT(at, "\n");
}

/* ---- One line ---- */

static size_t shown(struct str text, size_t max)
{
    return text.len < max ? text.len : max;
}

static size_t longest_line(const struct record *record)
{
    size_t bytes = shown(record->method, TEXT_MAX) + shown(record->target, TARGET_MAX) +
                   shown(record->host, TEXT_MAX) + shown(record->user_agent, TEXT_MAX) +
                   shown(record->referer, TEXT_MAX) + shown(record->client, TEXT_MAX) +
                   strlen(record->request_id) + shown(member_name(record), TEXT_MAX);
    return FIXED_MAX + ESCAPED_MAX * bytes;
}

int access_line_write(enum accesslog_format format, const struct record *record, struct buffer *out)
{
    size_t longest = longest_line(record);
    int result = buffer_reserve(out, longest);
    if (result < 0) {
        return result;
    }
    char *start = buffer_tail(out);
    char *end = format == ACCESSLOG_JSON    ? write_json(start, record)
                : format == ACCESSLOG_HUMAN ? write_human(start, record)
                                            : write_combined(start, record);
    CHECK((size_t)(end - start) <= longest);
    buffer_commit(out, (size_t)(end - start));
    return 0;
}
