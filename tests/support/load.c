/* SPDX-License-Identifier: Apache-2.0 */
/* Closed-loop clients. */
#include "support/load.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "support/http_client.h"
#include "support/recorder.h"
#include "support/support.h"

struct client {
    struct load *load;
    pthread_t thread;
    unsigned index;
    struct http_client http;
    bool is_open;
    struct load_result result;
};

struct load {
    struct load_plan plan;
    atomic_bool is_over;
    atomic_uint_least64_t answered;
    char *body;
    struct client clients[LOAD_THREADS_MAX];
};

static bool ask(struct client *client, unsigned number, struct http_answer *answer)
{
    const struct load_plan *plan = &client->load->plan;
    char head[512];
    bool is_post = strcmp(plan->method, "POST") == 0;
    if (!client->is_open) {
        if (http_try_connect(&client->http, plan->port) != 0) {
            return false;
        }
        client->is_open = true;
    }
    char length[64] = "";
    if (is_post) {
        snprintf(length, sizeof length, "Content-Length: %u\r\n", plan->body_bytes);
    }
    int len = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: test\r\nX-Tag: %u\r\n%s%s\r\n",
                       plan->method, plan->path, number, length,
                       plan->closes ? "Connection: close\r\n" : "");
    CHECK(len > 0 && (size_t)len < sizeof head);
    return http_send(&client->http, str_make(head, (size_t)len)) &&
           (!is_post || http_send(&client->http, str_make(client->load->body, plan->body_bytes))) &&
           http_read(&client->http, false, answer);
}

static void judge(struct client *client, unsigned number, const struct http_answer *answer)
{
    char tag[32];
    snprintf(tag, sizeof tag, "%u", number);
    if (answer->status < LOAD_STATUSES) {
        client->result.statuses[answer->status]++;
    }
    if (answer->status != 200) {
        return;
    }
    if (strcmp(http_field(answer, "X-Tag"), tag) == 0) {
        client->result.answered++;
        atomic_fetch_add(&client->load->answered, 1);
    } else {
        client->result.foreign++;
    }
}

static void one(struct client *client, unsigned number)
{
    struct http_answer answer;
    usec_t start = clock_monotonic(&clock_system);
    client->result.sent++;
    bool closes = client->load->plan.closes;
    if (ask(client, number, &answer)) {
        judge(client, number, &answer);
        closes = closes || answer.closes;
        http_answer_done(&answer);
    } else {
        client->result.failed++;
        closes = true;
    }
    usec_t took = clock_monotonic(&clock_system) - start;
    client->result.longest = took > client->result.longest ? took : client->result.longest;
    if (closes && client->is_open) {
        http_close(&client->http);
        client->is_open = false;
    }
}

static void *run(void *context)
{
    struct client *client = context;
    const struct load_plan *plan = &client->load->plan;
    unsigned share = TAG_NUMBERS / 2 / plan->threads;
    for (uint64_t n = 0;
         !atomic_load(&client->load->is_over) && (plan->limit == 0 || n < plan->limit); n++) {
        /* Numbers come again after a very long time, when nobody counts them any more. */
        one(client, plan->first_number + client->index * share + (unsigned)(n % share));
        if (plan->pause > 0) {
            sleep_for(plan->pause);
        }
    }
    if (client->is_open) {
        http_close(&client->http);
    }
    return NULL;
}

struct load *load_start(const struct load_plan *plan)
{
    struct load *load = calloc(1, sizeof *load);
    CHECK(load != NULL && plan->threads > 0 && plan->threads <= LOAD_THREADS_MAX);
    load->plan = *plan;
    load->body = calloc(1, plan->body_bytes + 1);
    CHECK(load->body != NULL);
    for (unsigned i = 0; i < plan->threads; i++) {
        load->clients[i].load = load;
        load->clients[i].index = i;
        CHECK(pthread_create(&load->clients[i].thread, NULL, run, &load->clients[i]) == 0);
    }
    return load;
}

uint64_t load_answered(const struct load *load)
{
    return atomic_load(&load->answered);
}

static void add(struct load_result *sum, const struct load_result *part)
{
    sum->sent += part->sent;
    sum->answered += part->answered;
    sum->failed += part->failed;
    sum->foreign += part->foreign;
    for (unsigned i = 0; i < LOAD_STATUSES; i++) {
        sum->statuses[i] += part->statuses[i];
    }
    sum->longest = part->longest > sum->longest ? part->longest : sum->longest;
}

struct load_result load_finish(struct load *load)
{
    struct load_result sum = {.sent = 0};
    for (unsigned i = 0; i < load->plan.threads; i++) {
        pthread_join(load->clients[i].thread, NULL);
        add(&sum, &load->clients[i].result);
    }
    free(load->body);
    free(load);
    return sum;
}

struct load_result load_stop(struct load *load)
{
    atomic_store(&load->is_over, true);
    return load_finish(load);
}

void load_tell(const char *what, const struct load_result *result)
{
    fprintf(stderr, "%s: %llu sent, %llu answered, %llu failed, %llu foreign, longest %.1f ms;",
            what, (unsigned long long)result->sent, (unsigned long long)result->answered,
            (unsigned long long)result->failed, (unsigned long long)result->foreign,
            (double)result->longest / 1000.0);
    for (unsigned i = 0; i < LOAD_STATUSES; i++) {
        if (result->statuses[i] > 0) {
            fprintf(stderr, " %u: %llu", i, (unsigned long long)result->statuses[i]);
        }
    }
    fputc('\n', stderr);
}
