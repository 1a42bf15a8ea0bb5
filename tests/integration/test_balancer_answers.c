/* SPDX-License-Identifier: Apache-2.0 */
/* Raw answers, good and evil, from a member through the real balancer: each whole, a byte in each
 * segment, and cut in two. Whatever a member says, the next client gets its own answer.
 * BALANCER_ALL_CUTS and BALANCER_CASE as in test_balancer_cases.c. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/http_client.h"
#include "support/raw_cases.h"
#include "support/support.h"

enum { SAMPLED_STEP = 23 };

struct expectation {
    const char *id;
    const char *method;
    unsigned long status; /* 0: no whole answer */
    const char *body;     /* NULL: does not matter */
    const char *has_not;  /* in the head, in any case of letters */
    bool is_idle;         /* sent behind an ordinary answer, when nothing was asked */
    bool closes;          /* the member closes behind it */
};

static const struct expectation expectations[] = {
    {"F01", "GET", 502, NULL, NULL, false, false},
    {"F03", "GET", 502, NULL, NULL, false, false},
    {"F05", "GET", 200, "abc", NULL, false, false},
    {"F06", "GET", 200, NULL, NULL, true, false},
    {"F08", "HEAD", 200, "", NULL, false, false},
    {"F10", "GET", 304, "", NULL, false, false},
    {"F11", "GET", 502, NULL, "Upgrade", false, false},
    {"F13", "GET", 502, NULL, NULL, false, false},
    {"F15", "GET", 0, NULL, NULL, false, true},
    {"F16", "GET", 200, "abc", NULL, false, true},
    {"F18", "GET", 502, NULL, NULL, false, false},
    {"F20", "GET", 502, NULL, NULL, false, false},
    {"F21", "GET", 502, NULL, NULL, false, false},
    {"F23", "GET", 502, NULL, NULL, false, false},
    {"F25", "GET", 200, "", "X-Secret", false, false},
    {"F28", "GET", 200, "abc", NULL, false, false},
    {"F30", "GET", 200, "", NULL, false, false},
};

struct scene {
    struct backends *backends;
    struct balancer_process balancer;
    unsigned tags;
    unsigned played;
    bool is_bytewise, is_cut;
};

static void begin(struct scene *scene)
{
    *scene = (struct scene){.backends = backends_new(1, false)};
    balancer_init(&scene->balancer, scene->backends);
    balancer_set(&scene->balancer, "Balancer.response_timeout=5s");
    balancer_start_with(&scene->balancer, 1);
}

static void end(struct scene *scene)
{
    cr_assert(process_is_alive(&scene->balancer.process));
    balancer_done(&scene->balancer);
    backends_free(scene->backends);
}

/* Several new clients, so that each kept connection to the member is used. */
static void assert_not_poisoned(struct scene *scene, const char *id, const char *how)
{
    backend_behave(backends_at(scene->backends, 0), BACKEND_NORMAL);
    for (unsigned i = 0; i < 3; i++) {
        struct http_client client;
        struct http_answer answer;
        char request[128];
        char tag[TAG_SIZE];
        snprintf(tag, sizeof tag, "good-%u", scene->tags++);
        snprintf(request, sizeof request, "GET /good HTTP/1.1\r\nHost: a\r\nX-Tag: %s\r\n\r\n",
                 tag);
        http_connect(&client, scene->balancer.port);
        cr_assert(http_send(&client, str_from(request)));
        cr_assert(http_read(&client, false, &answer), "%s %s: a new client gets nothing", id, how);
        cr_assert_eq(answer.status, 200, "%s %s: %s", id, how, answer.head);
        cr_assert_str_eq(http_field(&answer, "X-Tag"), tag, "%s %s: another's answer: %s", id, how,
                         answer.head);
        http_answer_done(&answer);
        http_close(&client);
    }
}

static void assert_answer(const struct expectation *e, bool is_there,
                          const struct http_answer *answer, const char *how)
{
    if (e->status == 0) {
        cr_assert(!is_there, "%s %s: an answer that seems whole: %s", e->id, how, answer->head);
        return;
    }
    cr_assert(is_there, "%s %s: no whole answer", e->id, how);
    cr_assert_eq(answer->status, e->status, "%s %s: %s", e->id, how, answer->head);
    cr_assert(e->has_not == NULL || strcasestr(answer->head, e->has_not) == NULL, "%s %s: %s",
              e->id, how, answer->head);
    if (e->status == 502) {
        cr_assert_str_neq(http_field(answer, "X-Portico-Reason"), "", "%s %s: %s", e->id, how,
                          answer->head);
    }
    if (e->body != NULL) {
        cr_assert(str_equal(answer->body, str_from(e->body)), "%s %s: body %.*s", e->id, how,
                  STR_ARG(answer->body));
    }
}

static void play(struct scene *scene, const struct raw_case *c, const struct expectation *e,
                 size_t piece, size_t cut, const char *how)
{
    struct http_client client;
    struct http_answer answer = {.status = 0};
    char request[128];
    struct backend *backend = backends_at(scene->backends, 0);
    backend_script(backend, c->raw, piece, cut, e->closes);
    backend_behave(backend, e->is_idle ? BACKEND_SCRIPT_IDLE : BACKEND_SCRIPT);
    snprintf(request, sizeof request, "%s /raw HTTP/1.1\r\nHost: a\r\nX-Tag: raw\r\n\r\n",
             e->method);
    http_connect(&client, scene->balancer.port);
    cr_assert(http_send(&client, str_from(request)));
    bool is_there = http_read(&client, strcmp(e->method, "HEAD") == 0, &answer);
    assert_answer(e, is_there, &answer, how);
    if (is_there) {
        http_answer_done(&answer);
    }
    /* The client's own connection is as good as new, or closed. */
    cr_assert_eq(buffer_size(&client.in), 0, "%s %s: bytes behind the answer", e->id, how);
    http_close(&client);
    if (e->is_idle) {
        sleep_for(40 * USEC_PER_MSEC);
    }
}

static void play_case(const struct raw_case *c, void *context)
{
    struct scene *scene = context;
    const char *only = getenv("BALANCER_CASE");
    const struct expectation *e = expectations;
    const struct expectation *last = expectations + ARRAY_LEN(expectations);
    while (e < last && strcmp(e->id, c->id) != 0) {
        e++;
    }
    if (c->raw.data == NULL || (only != NULL && strcmp(only, c->id) != 0)) {
        return; /* F26 is about resets: test_balancer_failures.c */
    }
    cr_assert(e < last, "nobody says what becomes of case %s", c->id);
    scene->played++;
    if (scene->is_bytewise) {
        play(scene, c, e, 1, 0, "byte by byte");
    } else if (scene->is_cut) {
        size_t step = getenv("BALANCER_ALL_CUTS") != NULL ? 1 : SAMPLED_STEP;
        for (size_t cut = 1; cut<c->raw.len; cut += c->raw.len> 1000 ? step * 41 : step) {
            char how[32];
            snprintf(how, sizeof how, "cut at %zu", cut);
            play(scene, c, e, 0, cut, how);
        }
    } else {
        play(scene, c, e, 0, 0, "whole");
    }
    assert_not_poisoned(scene, c->id, "afterwards");
}

Test(balancer_answers, come_out_right)
{
    struct scene scene;
    begin(&scene);
    raw_cases_visit("backend", play_case, &scene);
    cr_assert(getenv("BALANCER_CASE") != NULL || scene.played == ARRAY_LEN(expectations));
    end(&scene);
}

Test(balancer_answers, come_out_the_same_byte_by_byte)
{
    struct scene scene;
    begin(&scene);
    scene.is_bytewise = true;
    raw_cases_visit("backend", play_case, &scene);
    end(&scene);
}

Test(balancer_answers, come_out_the_same_cut_in_two, .timeout = 300)
{
    struct scene scene;
    begin(&scene);
    scene.is_cut = true;
    raw_cases_visit("backend", play_case, &scene);
    end(&scene);
}

static void get_1_0(struct scene *scene, enum backend_behaviour behaviour)
{
    struct http_client client;
    backend_behave(backends_at(scene->backends, 0), behaviour);
    http_connect(&client, scene->balancer.port);
    cr_assert(http_send(&client, STR("GET /x HTTP/1.0\r\nX-Tag: old\r\n\r\n")));
    struct str all = http_rest(&client);
    cr_assert_not_null(all.data, "it does not end");
    cr_assert_eq(strncmp(all.data, "HTTP/1.1 200 ", 13), 0, "%s", all.data);
    cr_assert_null(strcasestr(all.data, "chunked"), "%s", all.data);
    const char *body = strstr(all.data, "\r\n\r\n");
    cr_assert(body != NULL && strncmp(body + 4, "backend=0 tag=old ", 18) == 0, "%s", all.data);
    free((void *)(uintptr_t)all.data);
    http_close(&client);
}

Test(balancer_answers, come_without_chunks_to_an_old_client)
{
    struct scene scene;
    begin(&scene);
    get_1_0(&scene, BACKEND_CHUNKED);
    get_1_0(&scene, BACKEND_UNTIL_CLOSE);
    get_1_0(&scene, BACKEND_NORMAL);
    end(&scene);
}
