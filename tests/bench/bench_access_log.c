/* SPDX-License-Identifier: Apache-2.0 */
/* What telling about a request costs the worker that relayed it: a line in each format, all
 * counters, the ring of recent requests. */
#include <stdlib.h>

#include "accesslog.h"
#include "base/check.h"
#include "bench/measure.h"
#include "counters.h"
#include "member.h"
#include "recent.h"

struct bench {
    struct record record;
    struct buffer out;
    enum accesslog_format format;
    struct counter_shard *shard;
    struct recent *recent;
};

static void write_lines(void *context, uint64_t count)
{
    struct bench *bench = context;
    for (uint64_t i = 0; i < count; i++) {
        bench->record.wall += 37;
        if (access_line_write(bench->format, &bench->record, &bench->out) < 0) {
            buffer_clear(&bench->out);
        }
    }
    MEASURE_USE(bench->out.end);
}

static void count_records(void *context, uint64_t count)
{
    struct bench *bench = context;
    for (uint64_t i = 0; i < count; i++) {
        counters_record(bench->shard, &bench->record);
    }
}

static void keep_records(void *context, uint64_t count)
{
    struct bench *bench = context;
    for (uint64_t i = 0; i < count; i++) {
        recent_add(bench->recent, &bench->record);
    }
}

/* A poll as agents send it, through IPv4 on a listener for both. */
static struct record typical_record(const struct member *member, const struct address *peer)
{
    return (struct record){
        .request_id = "0123456789abcdef0123456789abcdef",
        .wall = INT64_C(1777638896123456),
        .peer = peer,
        .client = STR("192.168.100.200"),
        .connection = 123456,
        .method = STR("POST"),
        .target = STR("/control?api=3"),
        .host = STR("frontend.example.org:8000"),
        .user_agent = STR("Mozilla/5.0 (compatible; agent 3.4.7.4; Linux x86_64)"),
        .minor = 1,
        .is_reused = true,
        .status = 200,
        .member = member,
        .bytes_in = 1337,
        .bytes_out = 842,
        .receive = 120,
        .queue = 0,
        .connect = 0,
        .wait = 431,
        .total = 610,
    };
}

int main(int argc, char **argv)
{
    const struct measure_options options = measure_options(
        argc, argv, "Access log lines, counters and the memory of recent requests.");
    static struct member member = {.name = "localhost:8080"};
    struct address peer;
    struct counters *counters = counters_new();
    CHECK(counters != NULL);
    CHECK(address_parse(STR("[::ffff:192.168.100.200]:40123"), 0, &peer, NULL) == 0);
    member.counters = counters_member(counters, member.name);
    struct bench bench = {.record = typical_record(&member, &peer),
                          .shard = counters_shard(counters),
                          .recent = recent_new()};
    CHECK(bench.shard != NULL && bench.recent != NULL);
    buffer_init(&bench.out, ACCESS_LINE_MAX);

    bench.format = ACCESSLOG_JSON;
    measure(&options, "JSON line", write_lines, &bench, 2000000);
    bench.format = ACCESSLOG_HUMAN;
    measure(&options, "human line", write_lines, &bench, 2000000);
    bench.format = ACCESSLOG_COMBINED;
    measure(&options, "combined line", write_lines, &bench, 2000000);
    measure(&options, "all counters of a request", count_records, &bench, 5000000);
    measure(&options, "recent request", keep_records, &bench, 5000000);

    buffer_done(&bench.out);
    recent_free(bench.recent);
    counters_free(counters);
    return 0;
}
