/* SPDX-License-Identifier: Apache-2.0 */
/* Everything at once, at random: clients that cut, pipeline, pause and leave; members that fail in
 * every way; reloads, deaths and administrators meanwhile. Each client gets its own whole answer, a
 * refusal with a reason, or the connection's end, soon. BALANCER_CHAOS_SECONDS and
 * BALANCER_CHAOS_SEED in the environment make it longer and another one. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/http_client.h"
#include "support/support.h"

enum {
    MEMBERS = 3,
    CLIENTS = 12,
    SECONDS_DEFAULT = 5,
    PIPELINED_MAX = 4,
    BODY_MAX = 300 * 1024,
    COMPLAINT = 256,
};

#define PATIENCE (9 * USEC_PER_SEC)

struct chaos;

struct client {
    struct chaos *chaos;
    pthread_t thread;
    uint64_t random;
    unsigned index, number;
    unsigned answered, refused, ended, left; /* how requests ended */
    char complaint[COMPLAINT];               /* the first; empty: none */
};

struct chaos {
    struct backends *backends;
    struct balancer_process balancer;
    uint64_t random;
    atomic_bool is_over;
    struct client clients[CLIENTS];
};

static unsigned below(uint64_t *random, unsigned n)
{
    return (unsigned)(next_random(random) >> 16) % n;
}

static bool happens(uint64_t *random, unsigned percent)
{
    return below(random, 100) < percent;
}

/* ---- Requests ---- */

struct wanted {
    char tag[32];
    size_t body_bytes;
};

static size_t random_size(uint64_t *random, bool is_small)
{
    static const size_t sizes[] = {0, 1, 700, 4096, 65535, 65536, 65537, 100000, BODY_MAX};
    size_t size = sizes[below(random, is_small ? 4 : (unsigned)ARRAY_LEN(sizes))];
    return size > 1 && happens(random, 50) ? 1 + below(random, (unsigned)size) : size;
}

static void append_body(uint64_t *random, struct buffer *out, size_t size, bool is_chunked)
{
    static const char block[BODY_MAX];
    while (size > 0) {
        size_t n = is_chunked ? 1 + below(random, (unsigned)size) : size;
        if (is_chunked) {
            cr_assert_eq(buffer_printf(out, "%zx\r\n", n), 0);
        }
        cr_assert_eq(buffer_append(out, str_make(block, n)), 0);
        cr_assert(!is_chunked || buffer_append(out, STR("\r\n")) == 0);
        size -= n;
    }
    cr_assert(!is_chunked || buffer_append(out, STR("0\r\n\r\n")) == 0);
}

static void append_request(struct client *client, struct buffer *out, struct wanted *wanted,
                           bool is_small, bool is_old)
{
    uint64_t *random = &client->random;
    bool has_body = happens(random, 60);
    bool is_chunked = has_body && !is_old && happens(random, 40);
    wanted->body_bytes = has_body ? random_size(random, is_small) : 0;
    snprintf(wanted->tag, sizeof wanted->tag, "c%u-%u", client->index, client->number++);
    const char *method = has_body ? (happens(random, 50) ? "POST" : "PUT") : "GET";
    int code = buffer_printf(out, "%s %s HTTP/1.%d\r\nHost: a\r\nX-Tag: %s\r\n", method,
                             happens(random, 50) ? "/control" : "/upload", !is_old, wanted->tag);
    if (code == 0 && is_chunked) {
        code = buffer_append(out, STR("Transfer-Encoding: chunked\r\n"));
    } else if (code == 0 && has_body) {
        code = buffer_printf(out, "Content-Length: %zu\r\n", wanted->body_bytes);
    }
    if (code == 0 && has_body && !is_old && happens(random, 10)) {
        code = buffer_append(out, STR("Expect: 100-continue\r\n"));
    }
    if (code == 0) {
        code = buffer_append(out, STR("\r\n"));
    }
    cr_assert_eq(code, 0);
    if (has_body) {
        append_body(random, out, wanted->body_bytes, is_chunked);
    }
}

/* ---- Conversations ---- */

static void complain(struct client *client, const char *what, const struct wanted *wanted,
                     const char *head)
{
    if (client->complaint[0] == '\0') {
        snprintf(client->complaint, COMPLAINT, "%s (%s, %zu bytes): %s", what, wanted->tag,
                 wanted->body_bytes, head);
    }
}

/* In pieces, with pauses. False: it left, or the other side did. */
static bool send_somehow(struct client *client, struct http_client *http, struct str bytes)
{
    bool leaves = happens(&client->random, 5);
    size_t end = leaves ? below(&client->random, (unsigned)bytes.len + 1) : bytes.len;
    unsigned cuts = happens(&client->random, 50) ? below(&client->random, 6) : 0;
    bytes = str_first(bytes, end);
    while (cuts > 0 && bytes.len > 1) {
        size_t n = 1 + below(&client->random, (unsigned)bytes.len);
        if (!http_send(http, str_first(bytes, n))) {
            return false;
        }
        bytes = str_skip(bytes, n);
        sleep_for(below(&client->random, 3000));
        cuts--;
    }
    return http_send(http, bytes) && !leaves;
}

/* False: nothing more will come. */
static bool judge(struct client *client, const struct wanted *wanted,
                  const struct http_answer *answer)
{
    char bytes[64];
    char none[] = " bytes=0 ";
    bool is_members = answer->status == 200 || answer->status == 500;
    snprintf(bytes, sizeof bytes, " bytes=%zu ", wanted->body_bytes);
    if (is_members) {
        client->answered++;
        if (strcmp(http_field(answer, "X-Tag"), wanted->tag) != 0) {
            complain(client, "another's answer", wanted, answer->head);
        } else if (answer->body.len > 0 && !answer->closes &&
                   strstr(answer->body.data, bytes) == NULL &&
                   strstr(answer->body.data, none) == NULL) {
            complain(client, "another body arrived", wanted, answer->body.data);
        }
        return !answer->closes;
    }
    client->refused++;
    if (answer->status < 502 || answer->status > 504 || !answer->closes ||
        http_field(answer, "X-Portico-Reason")[0] == '\0') {
        complain(client, "an odd refusal", wanted, answer->head);
    }
    return false;
}

static void read_answers(struct client *client, struct http_client *http,
                         const struct wanted *wanted, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct http_answer answer;
        usec_t start = clock_monotonic(&clock_system);
        bool is_there = http_read(http, false, &answer);
        if (clock_monotonic(&clock_system) - start > PATIENCE) {
            complain(client, "no end", &wanted[i], "");
        }
        if (!is_there) {
            client->ended++;
            return;
        }
        bool goes_on = judge(client, &wanted[i], &answer);
        http_answer_done(&answer);
        if (!goes_on) {
            return;
        }
        if (happens(&client->random, 20)) {
            sleep_for(below(&client->random, 3000));
        }
    }
}

static void converse(struct client *client)
{
    struct http_client http;
    struct buffer out;
    struct wanted wanted[PIPELINED_MAX];
    bool is_old = happens(&client->random, 10);
    if (http_try_connect(&http, client->chaos->balancer.port) != 0) {
        complain(client, "no connection", &(struct wanted){.tag = ""}, "");
        return;
    }
    buffer_init(&out, 4 << 20);
    unsigned rounds = is_old ? 1 : 1 + below(&client->random, 4);
    for (unsigned i = 0; i < rounds && client->complaint[0] == '\0'; i++) {
        unsigned count = is_old || happens(&client->random, 70) ? 1 : 2 + below(&client->random, 3);
        unsigned ended = client->ended + client->refused;
        for (unsigned k = 0; k < count; k++) {
            append_request(client, &out, &wanted[k], count > 1, is_old);
        }
        if (!send_somehow(client, &http, buffer_view(&out))) {
            client->left++;
            break;
        }
        buffer_clear(&out);
        if (happens(&client->random, 5)) {
            http_finish(&http);
            rounds = 0;
        }
        read_answers(client, &http, wanted, count);
        if (client->ended + client->refused != ended) {
            break;
        }
    }
    buffer_done(&out);
    http_close(&http);
}

static void *run_client(void *context)
{
    struct client *client = context;
    while (!atomic_load(&client->chaos->is_over) && client->complaint[0] == '\0') {
        converse(client);
    }
    return NULL;
}

/* ---- What happens meanwhile ---- */

static void change_member(struct chaos *chaos)
{
    static const enum backend_behaviour behaviours[] = {
        BACKEND_NORMAL,       BACKEND_NORMAL,     BACKEND_NORMAL,      BACKEND_NORMAL,
        BACKEND_CHUNKED,      BACKEND_CHUNKED,    BACKEND_UNTIL_CLOSE, BACKEND_EARLY,
        BACKEND_INTERIM,      BACKEND_SHORT,      BACKEND_LONG,        BACKEND_GARBAGE,
        BACKEND_RESET_ACCEPT, BACKEND_RESET_HEAD, BACKEND_RESET_BODY,  BACKEND_CLOSE_HEAD,
        BACKEND_HANG,         BACKEND_DRIP,       BACKEND_CLOSE_AFTER, BACKEND_CLOSE_NEXT,
        BACKEND_ERROR};
    struct backend *member = backends_at(chaos->backends, below(&chaos->random, MEMBERS));
    backend_size(member, random_size(&chaos->random, false));
    backend_pause(member, 100);
    backend_delay(member, below(&chaos->random, 4000));
    backend_behave(member, behaviours[below(&chaos->random, ARRAY_LEN(behaviours))]);
}

static void kill_member(struct chaos *chaos)
{
    struct backend *member = backends_at(chaos->backends, below(&chaos->random, MEMBERS));
    if (happens(&chaos->random, 50)) {
        backend_die(member);
    } else {
        backend_refuse(member);
    }
    sleep_for(below(&chaos->random, 50000));
    backend_live(member);
}

static void reload(struct chaos *chaos)
{
    char yaml[256];
    snprintf(yaml, sizeof yaml,
             "Balancer.queue_size: %u\nBalancer.buffer: %uKiB\nBalancer.member_in_flight: %u\n"
             "Balancer.member_idle_connections: %u\n",
             10 + below(&chaos->random, 100), 4 + below(&chaos->random, 100),
             2 + below(&chaos->random, 20), 1 + below(&chaos->random, 8));
    balancer_configure(&chaos->balancer, yaml);
    balancer_signal(&chaos->balancer, SIGHUP);
}

static void ask(struct chaos *chaos)
{
    static const char *const commands[] = {
        "show connections", "show members",        "show pools", "show errors",    "show config",
        "explain 1",        "show members --json", "help",       "explain nothing"};
    free(balancer_command(&chaos->balancer,
                          commands[below(&chaos->random, (unsigned)ARRAY_LEN(commands))]));
    (void)balancer_metric(&chaos->balancer, "portico_balancer_connections", NULL);
}

static void wish(struct chaos *chaos, const char *what)
{
    char command[64];
    unsigned port = backends_first_port(chaos->backends) + below(&chaos->random, MEMBERS);
    snprintf(command, sizeof command, "%s %u", what, port);
    free(balancer_command(&chaos->balancer, command));
}

static void make_chaos(struct chaos *chaos, usec_t duration)
{
    usec_t until = clock_monotonic(&clock_system) + duration;
    while (clock_monotonic(&clock_system) < until) {
        switch (below(&chaos->random, 12)) {
        case 0:
            kill_member(chaos);
            break;
        case 1:
            reload(chaos);
            break;
        case 2:
            ask(chaos);
            break;
        case 3:
            wish(chaos, happens(&chaos->random, 50) ? "drain" : "disable");
            break;
        case 4:
        case 5:
            wish(chaos, "enable");
            break;
        default:
            change_member(chaos);
            break;
        }
        sleep_for(below(&chaos->random, 20000));
    }
}

/* ---- The test ---- */

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void begin(struct chaos *chaos)
{
    chaos->random = from_environment("BALANCER_CHAOS_SEED", 1) * 2654435761U | 1;
    chaos->backends = backends_new(MEMBERS, false);
    recorder_keep(backends_recorder(chaos->backends), false);
    balancer_init(&chaos->balancer, chaos->backends);
    balancer_configure(&chaos->balancer, "Balancer.queue_size: 50\n");
    balancer_set(&chaos->balancer, "Balancer.threads=4");
    balancer_set(&chaos->balancer, "Balancer.response_timeout=1s");
    balancer_set(&chaos->balancer, "Balancer.queue_timeout=500ms");
    balancer_set(&chaos->balancer, "Balancer.probe_interval=100ms");
    balancer_set(&chaos->balancer, "Balancer.eject_time=100ms");
    balancer_set(&chaos->balancer, "Balancer.access_log=%s/access", chaos->balancer.directory);
    balancer_start_with(&chaos->balancer, MEMBERS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *client = &chaos->clients[i];
        *client =
            (struct client){.chaos = chaos, .index = i, .random = next_random(&chaos->random) | 1};
        cr_assert_eq(pthread_create(&client->thread, NULL, run_client, client), 0);
    }
}

static void end_clients(struct chaos *chaos)
{
    struct client sum = {.index = 0};
    const char *complaint = "";
    atomic_store(&chaos->is_over, true);
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct client *client = &chaos->clients[i];
        pthread_join(client->thread, NULL);
        sum.answered += client->answered;
        sum.refused += client->refused;
        sum.ended += client->ended;
        sum.left += client->left;
        complaint = client->complaint[0] != '\0' ? client->complaint : complaint;
    }
    fprintf(stderr, "chaos: %u answered, %u refused, %u ended, %u left\n", sum.answered,
            sum.refused, sum.ended, sum.left);
    cr_assert_str_eq(complaint, "");
    cr_assert_gt(sum.answered, 0);
}

static void calm_down(struct chaos *chaos)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        char command[64];
        struct backend *member = backends_at(chaos->backends, i);
        backend_behave(member, BACKEND_NORMAL);
        backend_delay(member, 0);
        snprintf(command, sizeof command, "enable %u", backends_first_port(chaos->backends) + i);
        free(balancer_command(&chaos->balancer, command));
    }
    cr_assert(balancer_await_members(&chaos->balancer, MEMBERS, 10 * USEC_PER_SEC));
    for (unsigned i = 0; i < 20; i++) {
        cr_assert_eq(http_once(chaos->balancer.port, "GET", "/x", NULL, NULL), 200);
    }
    cr_assert_eq(balancer_metric(&chaos->balancer, "portico_balancer_requests_in_flight", NULL), 0);
    cr_assert_eq(balancer_metric(&chaos->balancer, "portico_balancer_requests_queued", NULL), 0);
}

Test(balancer_chaos, everybody_gets_an_own_answer_or_a_clean_end, .timeout = 3600)
{
    static struct chaos chaos;
    begin(&chaos);
    make_chaos(&chaos,
               (usec_t)from_environment("BALANCER_CHAOS_SECONDS", SECONDS_DEFAULT) * USEC_PER_SEC);
    end_clients(&chaos);
    calm_down(&chaos);
    cr_assert_eq(balancer_stop(&chaos.balancer, 20 * USEC_PER_SEC), 0);
    balancer_done(&chaos.balancer);
    backends_free(chaos.backends);
}
