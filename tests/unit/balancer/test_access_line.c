/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "accesslog.h"
#include "base/utf8.h"
#include "records.h"
#include "support/support.h"

static struct address peer;
static struct member member = {.name = "localhost:8080"};

static void set_up(void)
{
    cr_assert_eq(address_parse(STR("[::ffff:10.1.2.3]:40123"), 0, &peer, NULL), 0);
}

TestSuite(access_line, .init = set_up);

static char *line_of(enum accesslog_format format, const struct record *record)
{
    struct buffer out;
    buffer_init(&out, ACCESS_LINE_MAX);
    cr_assert_eq(access_line_write(format, record, &out), 0);
    char *text = str_dup(buffer_view(&out));
    buffer_done(&out);
    return text;
}

static void expect_line(enum accesslog_format format, const struct record *record,
                        const char *wanted)
{
    char *line = line_of(format, record);
    cr_expect_str_eq(line, wanted);
    free(line);
}

Test(access_line, json_has_all_keys)
{
    struct record record = make_record(&member, &peer);
    expect_line(ACCESSLOG_JSON, &record,
                "{\"time\":\"2026-05-01T12:34:56.123456Z\",\"request_id\":\"0123456789abcdef\","
                "\"client\":\"10.1.2.3\",\"peer\":\"10.1.2.3:40123\",\"connection\":812,"
                "\"method\":\"POST\",\"target\":\"/control?api=3\",\"host\":\"front.example\","
                "\"status\":200,\"reason\":null,\"member\":\"localhost:8080\",\"retries\":0,"
                "\"bytes_in\":1234,\"bytes_out\":567,\"receive_us\":10,\"queue_us\":20,"
                "\"connect_us\":30,\"wait_us\":4000,\"total_us\":5000,\"tls\":false,"
                "\"reused\":true,\"user_agent\":\"agent/1.0\",\"referer\":null}\n");
}

Test(access_line, human_is_readable)
{
    struct record record = make_record(&member, &peer);
    expect_line(ACCESSLOG_HUMAN, &record,
                "2026-05-01T12:34:56.123456Z 10.1.2.3 200 \"POST /control?api=3\" -> "
                "localhost:8080 5.000ms in=1234 out=567 queue=0.020ms connect=0.030ms "
                "wait=4.000ms id=0123456789abcdef\n");
    record = (struct record){.request_id = "", .peer = &peer, .reason = REASON_BARE_LF};
    expect_line(ACCESSLOG_HUMAN, &record,
                "1970-01-01T00:00:00.000000Z 10.1.2.3:40123 --- \"-\" -> - 0.000ms in=0 out=0 "
                "reason=bare_lf\n");
}

Test(access_line, combined_is_what_nginx_writes)
{
    struct record record = make_record(&member, &peer);
    record.referer = STR("https://example.org/");
    expect_line(ACCESSLOG_COMBINED, &record,
                "10.1.2.3 - - [01/May/2026:12:34:56 +0000] \"POST /control?api=3 HTTP/1.1\" 200 "
                "567 \"https://example.org/\" \"agent/1.0\"\n");
    record.user_agent = STR("a\"b\\c\x01\x7f\xc3\xa4");
    record.referer = record.method = STR("");
    record.status = 0;
    expect_line(ACCESSLOG_COMBINED, &record,
                "10.1.2.3 - - [01/May/2026:12:34:56 +0000] \"-\" 000 567 \"-\" "
                "\"a\\x22b\\x5Cc\\x01\\x7F\\xC3\\xA4\"\n");
}

Test(access_line, what_peers_send_cannot_leave_its_quotes)
{
    struct record record = make_record(&member, &peer);
    record.user_agent = STR("\"\\\n\r\x1b[31m\xff\xc3\xa4\xe2\x80\xae\x00z");
    char *line = line_of(ACCESSLOG_JSON, &record);
    cr_expect_not_null(strstr(line, "\"user_agent\":\"\\\"\\\\\\u000a\\u000d\\u001b[31m\\u00ff"
                                    "\xc3\xa4\\u00e2\\u0080\\u00ae\\u0000z\""),
                       "%s", line);
    free(line);
    record.target = record.user_agent;
    line = line_of(ACCESSLOG_HUMAN, &record);
    cr_expect_not_null(strstr(line, "\"POST \\\"\\\\\\x0a\\x0d\\x1b[31m\\xff\xc3\xa4\\xe2\\x80\\xae"
                                    "\\x00z\""),
                       "%s", line);
    free(line);
}

static void expect_one_valid_line(struct str line)
{
    cr_expect_eq(str_find(line, '\n'), line.len - 1);
    while (line.len > 0) {
        size_t len = utf8_sequence(line);
        cr_assert_gt(len, 0);
        line = str_skip(line, len);
    }
}

static struct str random_text(char *out, size_t max, uint64_t *state)
{
    size_t len = next_random(state) % max;
    for (size_t i = 0; i < len; i++) {
        out[i] = (char)next_random(state);
    }
    return str_make(out, len);
}

Test(access_line, any_bytes_give_one_line_of_valid_text)
{
    uint64_t state = 7;
    char texts[6][80];
    struct buffer out;
    buffer_init(&out, ACCESS_LINE_MAX);
    struct record record = make_record(&member, &peer);
    for (int i = 0; i < 3000; i++) {
        record.method = random_text(texts[0], 30, &state);
        record.target = random_text(texts[1], 80, &state);
        record.host = random_text(texts[2], 20, &state);
        record.user_agent = random_text(texts[3], 80, &state);
        record.referer = random_text(texts[4], 80, &state);
        record.client = random_text(texts[5], 20, &state);
        for (enum accesslog_format format = 0; format <= ACCESSLOG_COMBINED; format++) {
            buffer_clear(&out);
            cr_assert_eq(access_line_write(format, &record, &out), 0);
            expect_one_valid_line(buffer_view(&out));
        }
        buffer_clear(&out);
        cr_assert_eq(access_line_write(ACCESSLOG_JSON, &record, &out), 0);
        json_t *object =
            json_loadb(buffer_view(&out).data, buffer_size(&out), JSON_ALLOW_NUL, NULL);
        cr_assert_not_null(object);
        cr_expect_eq(json_object_size(object), 23);
        json_decref(object);
    }
    buffer_done(&out);
}

Test(access_line, the_longest_line_fits)
{
    static char bytes[20000];
    memset(bytes, 0xff, sizeof bytes);
    struct str text = str_make(bytes, sizeof bytes);
    char id[REQUEST_ID_SIZE];
    memset(id, '\\', sizeof id);
    id[sizeof id - 1] = '\0';
    struct address local;
    struct record record = make_record(&member, &local);
    cr_assert_eq(address_from_path(STR("/run/\x01\x02\x03\x04.sock"), &local, NULL), 0);
    record.request_id = id;
    record.method = record.target = record.host = record.user_agent = record.referer =
        record.client = text;
    record.connection = record.bytes_in = record.bytes_out = UINT64_MAX;
    record.receive = record.queue = record.connect = record.wait = record.total = INT64_MAX;
    record.reason = REASON_ADDRESS_CONNECTIONS;
    for (enum accesslog_format format = 0; format <= ACCESSLOG_COMBINED; format++) {
        char *line = line_of(format, &record);
        cr_expect_not_null(strstr(line, "..."));
        expect_one_valid_line(str_from(line));
        free(line);
    }
}

Test(access_line, no_room_leaves_the_buffer_as_it_was)
{
    struct record record = make_record(&member, &peer);
    struct buffer out;
    buffer_init(&out, 100);
    cr_assert_eq(buffer_append(&out, STR("before")), 0);
    cr_expect_eq(access_line_write(ACCESSLOG_JSON, &record, &out), -ENOBUFS);
    cr_expect(str_equal(buffer_view(&out), STR("before")));
    buffer_done(&out);
}

/* The C library knows the calendar, too. */
Test(access_line, dates_are_those_of_the_calendar)
{
    struct record record = make_record(&member, &peer);
    uint64_t state = 3;
    for (int i = 0; i < 20000; i++) {
        char wanted[64];
        time_t seconds =
            i < 8000 ? (time_t)i * 86399 * 46 : (time_t)(next_random(&state) % 253402300800);
        strftime(wanted, sizeof wanted, "{\"time\":\"%Y-%m-%dT%H:%M:%S.000007Z\"",
                 gmtime(&seconds));
        record.wall = seconds * USEC_PER_SEC + 7;
        char *line = line_of(ACCESSLOG_JSON, &record);
        cr_assert_eq(strncmp(line, wanted, strlen(wanted)), 0, "%s %s", wanted, line);
        free(line);
    }
}

Test(access_line, times_beyond_the_calendar_are_survived)
{
    struct record record = make_record(&member, &peer);
    record.wall = -1;
    char *line = line_of(ACCESSLOG_COMBINED, &record);
    cr_expect_not_null(strstr(line, "[01/Jan/1970:00:00:00 +0000]"));
    free(line);
    record.wall = INT64_MAX;
    line = line_of(ACCESSLOG_COMBINED, &record);
    cr_expect_not_null(strstr(line, "[31/Dec/9999:23:59:59 +0000]"));
    free(line);
}

Test(access_line, every_kind_of_address_is_told)
{
    static const char *const texts[] = {"1.2.3.4:5", "255.255.255.255:65535", "[2001:db8::1]:443",
                                        "/run/x.sock"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char wanted[128];
        struct record record = make_record(&member, &peer);
        cr_assert_eq(address_parse(str_from(texts[i]), 0, &peer, NULL), 0);
        snprintf(wanted, sizeof wanted, "\"peer\":\"%s\"", texts[i]);
        char *line = line_of(ACCESSLOG_JSON, &record);
        cr_expect_not_null(strstr(line, wanted), "%s", line);
        free(line);
    }
}
