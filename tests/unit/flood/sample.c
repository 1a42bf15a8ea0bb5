/* SPDX-License-Identifier: Apache-2.0 */
/* Log-normal latencies with a stall in the middle. */
#include "sample.h"

#include <math.h>

#include "base/check.h"

static double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return ((double)(*state >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(uniform(state)));
    return radius * cos(2 * 3.14159265358979 * uniform(state));
}

static void describe(struct results *results, size_t seconds, double rate, uint64_t seed)
{
    struct run_description *run = &results->run;
    RUN_TEXT(run->mode, "run");
    RUN_TEXT(run->url, "http://127.0.0.1:8000/");
    RUN_TEXT(run->scenario, "steady");
    RUN_TEXT(run->command_line, "portico-flood run --url http://127.0.0.1:8000/ --agents 1000");
    RUN_TEXT(run->host, "example");
    RUN_TEXT(run->kernel, "Linux 6.1 x86_64");
    RUN_TEXT(run->cpu, "Some Processor");
    RUN_TEXT(run->version, "0.1.0");
    RUN_TEXT(run->openssl, "OpenSSL 3.0");
    RUN_TEXT(run->identities, "RSA-2048 from shared primes");
    RUN_TEXT(run->connections, "keep-alive");
    RUN_TEXT(run->slo, "p99<50ms,errors<100,lost=0,rate>=100");
    run->cpus = 2;
    run->threads = 1;
    run->agents = 1000;
    run->seed = seed;
    run->rss_bytes = 48 << 20;
    run->started = 1700000000 * USEC_PER_SEC;
    run->duration = (usec_t)seconds * USEC_PER_SEC;
    run->cpu_user = 9 * USEC_PER_SEC;
    run->cpu_system = 4 * USEC_PER_SEC;
    run->rate_wanted = rate;
}

static void run_second(struct results *results, size_t index, size_t seconds, double rate,
                       double slowness, uint64_t *state)
{
    static struct histogram histogram;
    bool is_stalled = index == seconds / 2;
    struct second second = {.failed = is_stalled ? 7 : 0};
    second.ok = (uint64_t)(rate * (1 + 0.03 * normal(state)));
    histogram_clear(&histogram);
    for (uint64_t i = 0; i < second.ok; i++) {
        double service = slowness * 900 * exp(0.55 * normal(state));
        double latency = service + (is_stalled ? 40000 * uniform(state) : 0);
        histogram_record(&histogram, (usec_t)latency);
        histogram_record(&results->service, (usec_t)service);
        histogram_record(&results->lateness, (usec_t)(20 * exp(normal(state))));
    }
    histogram_merge(&results->latency, &histogram);
    second.p50 = histogram_quantile(&histogram, 0.5);
    second.p99 = histogram_quantile(&histogram, 0.99);
    second.max = histogram_max(&histogram);
    second.in_flight = (uint64_t)(rate * 0.002) + (is_stalled ? 40 : index % 3);
    second.enrolled = index * 150 < 1000 ? index * 150 : 1000;
    second.enrolments = index * 150 < 1000 ? 150 : 0;
    results->totals.ok += second.ok;
    CHECK(results_add_second(results, &second) == 0);
}

struct results *sample_results(size_t seconds, double rate, double slowness, uint64_t seed)
{
    struct results *results = results_new();
    uint64_t state = seed;
    CHECK(results != NULL);
    describe(results, seconds, rate, seed);
    for (size_t i = 0; i < seconds; i++) {
        run_second(results, i, seconds, rate, slowness, &state);
    }
    results_add_failures(results, "timeout", "no answer in time", 5);
    results_add_failures(results, "wrong-nonce", "the answer was to another poll", 2);
    results->totals.planned = results->totals.started = results->totals.ok + 7;
    results->totals.enrolled = results->totals.enrolments_started = 1000;
    results->totals.messages_sent = results->totals.messages_acknowledged = 1200;
    results->totals.messages_stored = 1200;
    results->totals.bytes_sent = 1700 * results->totals.ok;
    results->totals.bytes_received = 1100 * results->totals.ok;
    results->totals.connections = 1000;
    results->ledger_is_checked = true;
    results->events[0] = (struct event_outcome){.event = "slow-instance",
                                                .command = "kill -STOP 17",
                                                .outcome = "ended with status 0",
                                                .at = 15 * USEC_PER_SEC,
                                                .is_well = true};
    results->events[1] = (struct event_outcome){.event = "instance-recovers",
                                                .command = "kill -CONT 17",
                                                .outcome = "ended with status 1",
                                                .at = 25 * USEC_PER_SEC};
    results->event_count = 2;
    return results;
}
