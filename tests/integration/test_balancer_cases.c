/* SPDX-License-Identifier: Apache-2.0 */
/* Raw requests, good and evil, through the real balancer: each whole, a byte in each segment, cut
 * in two, behind and before a good request, and with a good one on another connection that must get
 * its own answer. A sample of the cuts; with BALANCER_ALL_CUTS in the environment, every one. With
 * BALANCER_CASE=ID, that case alone. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/http_client.h"
#include "support/raw_cases.h"
#include "support/support.h"

enum { SAMPLED_STEP = 29, MEMBERS = 3, GROWTH_MAX_KIB = 16 * 1024 };

enum flag {
    ENDS = 1,      /* the client sends no more: the case is about that */
    CLOSES = 2,    /* the balancer closes behind its last answer */
    SMUGGLED = 4,  /* the request for /smuggled is the client's own */
    CONTINUES = 8, /* the client waits for 100 Continue before its body */
};

/* What becomes of a case. */
struct expectation {
    const char *id;
    unsigned answers;   /* final ones */
    unsigned status;    /* of each */
    const char *reason; /* why it was refused; NULL: it was not */
    unsigned requests;  /* that members see */
    unsigned flags;
    const char *has;     /* what the (first) head at the member holds */
    const char *has_not; /* what it does not hold, in any case of letters */
    const char *body;    /* at the member; NULL: does not matter */
};

#define REFUSED(id, status, reason)                        \
    {                                                      \
        id, 1, status, reason, 0, CLOSES, NULL, NULL, NULL \
    }
#define SERVED(id, count, flags, has, has_not, body)           \
    {                                                          \
        id, count, 200, NULL, count, flags, has, has_not, body \
    }

static const struct expectation expectations[] = {
#include "balancer_cases.def"
};

struct scene {
    struct backends *backends;
    struct balancer_process balancer;
    unsigned tags;
    bool has_metrics; /* the real one */
};

static void begin(struct scene *scene)
{
    *scene = (struct scene){.backends = backends_new(MEMBERS, false)};
    balancer_init(&scene->balancer, scene->backends);
    balancer_set(&scene->balancer, "Balancer.access_log=%s/access", scene->balancer.directory);
    scene->has_metrics = getenv("PEER") == NULL;
    if (scene->has_metrics) {
        balancer_start_with(&scene->balancer, MEMBERS);
    } else {
        balancer_start(&scene->balancer);
    }
}

static void end(struct scene *scene)
{
    balancer_done(&scene->balancer);
    backends_free(scene->backends);
}

/* How a case is sent. */
struct way {
    const char *name;
    size_t cut; /* in two here */
    bool bytewise;
    bool behind; /* a good request on the same connection goes first, in the same segment */
    bool before; /* a good request follows, in the same segment */
};

static char *good_request(struct scene *scene, char tag[TAG_SIZE], struct str *out)
{
    char *text;
    snprintf(tag, TAG_SIZE, "good-%u", scene->tags++);
    int len = asprintf(&text, "GET /good HTTP/1.1\r\nHost: a\r\nX-Tag: %s\r\n\r\n", tag);
    *out = str_make(text, (size_t)len);
    return text;
}

static void assert_own_answer(const struct http_answer *answer, const char *tag, const char *id,
                              const char *how)
{
    cr_assert_eq(answer->status, 200, "%s %s: the good request is answered %u: %s", id, how,
                 answer->status, answer->head);
    cr_assert_str_eq(http_field(answer, "X-Tag"), tag, "%s %s: another's answer: %s", id, how,
                     answer->head);
}

/* A new client must get its own answer: nothing of the case may be left in any connection. */
static void assert_not_poisoned(struct scene *scene, const char *id, const char *how)
{
    struct http_client client;
    struct http_answer answer;
    struct str request;
    char tag[TAG_SIZE];
    for (unsigned i = 0; i < MEMBERS; i++) {
        char *text = good_request(scene, tag, &request);
        http_connect(&client, scene->balancer.port);
        cr_assert(http_send(&client, request));
        cr_assert(http_read(&client, false, &answer), "%s %s: a new client gets nothing", id, how);
        assert_own_answer(&answer, tag, id, how);
        http_answer_done(&answer);
        http_close(&client);
        free(text);
    }
}

static struct str join(struct str a, struct str b, struct str c)
{
    char *all = malloc(a.len + b.len + c.len + 1);
    if (a.len > 0) {
        memcpy(all, a.data, a.len);
    }
    memcpy(all + a.len, b.data, b.len);
    if (c.len > 0) {
        memcpy(all + a.len + b.len, c.data, c.len);
    }
    return str_make(all, a.len + b.len + c.len);
}

static void send_in_its_way(struct http_client *client, struct str stream, const struct way *way)
{
    if (way->bytewise) {
        for (size_t i = 0; i < stream.len && http_send(client, str_make(stream.data + i, 1)); i++) {
        }
    } else if (way->cut > 0) {
        http_send(client, str_first(stream, way->cut));
        sleep_for(300);
        http_send(client, str_skip(stream, way->cut));
    } else {
        http_send(client, stream);
    }
}

static void assert_refused(const struct http_answer *answer, const struct expectation *e,
                           const char *how)
{
    cr_assert(answer->closes, "%s %s: does not say that it closes: %s", e->id, how, answer->head);
    if (getenv("PEER") == NULL) {
        cr_assert_str_eq(http_field(answer, "X-Portico-Reason"), e->reason, "%s %s: %s", e->id, how,
                         answer->head);
    }
}

static void read_answers(struct http_client *client, const struct expectation *e, const char *how)
{
    struct http_answer answer;
    for (unsigned i = 0; i < e->answers; i++) {
        bool is_there = http_read(client, false, &answer);
        cr_assert(is_there, "%s %s: answer %u does not come", e->id, how, i);
        cr_assert_eq(answer.status, e->status, "%s %s: not %u: %s", e->id, how, e->status,
                     answer.head);
        if (e->reason != NULL) {
            assert_refused(&answer, e, how);
        }
        http_answer_done(&answer);
    }
}

static bool holds_nocase(const char *text, const char *what)
{
    return strcasestr(text, what) != NULL;
}

static void assert_recorded(struct scene *scene, const struct expectation *e, unsigned before,
                            unsigned behind, const char *how)
{
    struct recorder *recorder = backends_recorder(scene->backends);
    char *complaints = recorder_complaints(recorder);
    cr_assert_str_eq(complaints, "", "%s %s: %s", e->id, how, complaints);
    free(complaints);
    unsigned count = recorder_count(recorder);
    cr_assert_eq(count, before + e->requests + behind, "%s %s: %u requests at members", e->id, how,
                 count - before - behind);
    if (e->requests == 0) {
        return;
    }
    const struct recorded *request = recorder_at(recorder, before);
    cr_assert(e->has == NULL || strstr(request->head, e->has) != NULL, "%s %s: no %s in %s", e->id,
              how, e->has, request->head);
    cr_assert(e->has_not == NULL || !holds_nocase(request->head, e->has_not), "%s %s: %s in %s",
              e->id, how, e->has_not, request->head);
    cr_assert(request->is_complete, "%s %s: half a body", e->id, how);
    if (e->body != NULL) {
        cr_assert_eq(request->body_bytes, strlen(e->body), "%s %s: %llu body bytes", e->id, how,
                     (unsigned long long)request->body_bytes);
        cr_assert(request->body_bytes == 0 || memcmp(request->body, e->body, strlen(e->body)) == 0,
                  "%s %s: body", e->id, how);
    }
}

static void assert_ends_well(struct http_client *client, const struct expectation *e,
                             const struct way *way, const char *tag)
{
    struct http_answer answer;
    if ((e->flags & CLOSES) != 0) {
        if (e->answers == 0) { /* what it is told is its own affair */
            struct str rest = http_rest(client);
            cr_assert_not_null(rest.data, "%s %s: it is not closed", e->id, way->name);
            cr_assert(rest.len == 0 || strncmp(rest.data, "HTTP/1.1 4", 10) == 0, "%s %s: %s",
                      e->id, way->name, rest.data);
            free((void *)(uintptr_t)rest.data);
        } else {
            cr_assert(http_is_closed(client), "%s %s: something behind the last answer", e->id,
                      way->name);
        }
    } else if (way->before) {
        cr_assert(http_read(client, false, &answer), "%s %s: no second answer", e->id, way->name);
        assert_own_answer(&answer, tag, e->id, way->name);
        http_answer_done(&answer);
    }
}

/* One case, one way. */
static void play(struct scene *scene, const struct raw_case *c, const struct expectation *e,
                 const struct way *way)
{
    const char *only = getenv("BALANCER_CASE");
    struct http_client client;
    struct http_answer answer;
    if (only != NULL && strcmp(only, c->id) != 0) {
        return;
    }
    struct str first = {NULL, 0};
    struct str last = {NULL, 0};
    char first_tag[TAG_SIZE];
    char last_tag[TAG_SIZE];
    struct recorder *recorder = backends_recorder(scene->backends);
    char *first_text = way->behind ? good_request(scene, first_tag, &first) : NULL;
    char *last_text = way->before ? good_request(scene, last_tag, &last) : NULL;
    struct str body = (e->flags & CONTINUES) != 0 ? STR("abc") : (struct str){NULL, 0};
    recorder_clear(recorder);
    recorder_allow_smuggled(recorder, (e->flags & SMUGGLED) != 0);
    struct str raw = join(c->raw, str_make("", 0), body);
    struct str stream = join(first, raw, last);
    http_connect(&client, scene->balancer.port);
    send_in_its_way(&client, stream, way);
    if ((e->flags & ENDS) != 0) {
        http_finish(&client);
    }
    if (way->behind) {
        cr_assert(http_read(&client, false, &answer), "%s %s: nothing", e->id, way->name);
        assert_own_answer(&answer, first_tag, e->id, way->name);
        http_answer_done(&answer);
    }
    read_answers(&client, e, way->name);
    assert_ends_well(&client, e, way, last_tag);
    http_close(&client);
    assert_recorded(scene, e, way->behind, way->before && (e->flags & CLOSES) == 0, way->name);
    free((void *)(uintptr_t)raw.data);
    free((void *)(uintptr_t)stream.data);
    free(first_text);
    free(last_text);
}

static const struct expectation *expectation_of(const struct raw_case *c)
{
    for (size_t i = 0; i < ARRAY_LEN(expectations); i++) {
        if (strcmp(expectations[i].id, c->id) == 0) {
            return &expectations[i];
        }
    }
    cr_assert_fail("nobody says what becomes of case %s", c->id);
    return NULL;
}

static void play_whole(const struct raw_case *c, void *context)
{
    struct scene *scene = context;
    const struct expectation *e = expectation_of(c);
    const struct way way = {.name = "whole"};
    unsigned before = 0;
    if (e->reason != NULL && scene->has_metrics) {
        before = balancer_rejections(&scene->balancer, e->reason);
    }
    play(scene, c, e, &way);
    if (e->reason != NULL && scene->has_metrics && getenv("BALANCER_CASE") == NULL) {
        unsigned rejections = balancer_rejections(&scene->balancer, e->reason);
        cr_assert_eq(rejections, before + 1, "%s: %s was counted %u times", c->id, e->reason,
                     rejections - before);
    }
    assert_not_poisoned(scene, c->id, "whole");
}

Test(balancer_cases, come_out_right_and_are_counted)
{
    struct scene scene;
    begin(&scene);
    cr_assert_eq(raw_cases_visit("client", play_whole, &scene), ARRAY_LEN(expectations));
    cr_assert(process_is_alive(&scene.balancer.process));
    end(&scene);
}

static void play_bytewise(const struct raw_case *c, void *context)
{
    const struct way way = {.name = "byte by byte", .bytewise = true};
    play(context, c, expectation_of(c), &way);
    assert_not_poisoned(context, c->id, way.name);
}

Test(balancer_cases, come_out_the_same_byte_by_byte)
{
    struct scene scene;
    begin(&scene);
    raw_cases_visit("client", play_bytewise, &scene);
    cr_assert(process_is_alive(&scene.balancer.process));
    end(&scene);
}

static void play_cuts(const struct raw_case *c, void *context)
{
    char name[32];
    const struct way unused = {.name = name};
    size_t step = getenv("BALANCER_ALL_CUTS") != NULL ? 1 : SAMPLED_STEP;
    step = c->raw.len > 2048 ? step * 41 : step; /* the long ones repeat themselves */
    for (size_t cut = 1; cut < c->raw.len; cut += step) {
        struct way way = unused;
        way.cut = cut;
        snprintf(name, sizeof name, "cut at %zu", cut);
        play(context, c, expectation_of(c), &way);
    }
    assert_not_poisoned(context, c->id, "cut");
}

Test(balancer_cases, come_out_the_same_cut_in_two, .timeout = 600)
{
    struct scene scene;
    begin(&scene);
    raw_cases_visit("client", play_cuts, &scene);
    cr_assert(process_is_alive(&scene.balancer.process));
    end(&scene);
}

static void play_behind(const struct raw_case *c, void *context)
{
    const struct way way = {.name = "behind a good request", .behind = true};
    play(context, c, expectation_of(c), &way);
    assert_not_poisoned(context, c->id, way.name);
}

Test(balancer_cases, come_out_the_same_behind_a_good_request)
{
    struct scene scene;
    begin(&scene);
    raw_cases_visit("client", play_behind, &scene);
    end(&scene);
}

static void play_before(const struct raw_case *c, void *context)
{
    const struct way way = {.name = "before a good request", .before = true};
    const struct expectation *e = expectation_of(c);
    if ((e->flags & ENDS) == 0) {
        play(context, c, e, &way);
        assert_not_poisoned(context, c->id, way.name);
    }
}

Test(balancer_cases, leave_the_next_request_alone)
{
    struct scene scene;
    begin(&scene);
    raw_cases_visit("client", play_before, &scene);
    end(&scene);
}

static void play_fast(const struct raw_case *c, void *context)
{
    const struct way way = {.name = "again"};
    play(context, c, expectation_of(c), &way);
}

Test(balancer_cases, leave_no_memory_and_no_descriptors_behind)
{
    struct scene scene;
    begin(&scene);
    raw_cases_visit("client", play_fast, &scene);
    uint64_t before = process_memory_kib(&scene.balancer.process, "VmRSS");
    unsigned descriptors = process_descriptors(&scene.balancer.process);
    for (unsigned i = 0; i < 5; i++) {
        raw_cases_visit("client", play_fast, &scene);
    }
    uint64_t after = process_memory_kib(&scene.balancer.process, "VmRSS");
    cr_assert_lt(after, before + GROWTH_MAX_KIB, "%llu KiB, were %llu", (unsigned long long)after,
                 (unsigned long long)before);
    /* Some connections to members, some that linger. */
    cr_assert_lt(process_descriptors(&scene.balancer.process), descriptors + 100);
    end(&scene);
}

/* A line each, and nothing in it that a terminal would obey. */
Test(balancer_cases, are_logged_in_one_clean_line_each)
{
    struct scene scene;
    begin(&scene);
    raw_cases_visit("client", play_fast, &scene);
    cr_assert_eq(balancer_stop(&scene.balancer, 20 * USEC_PER_SEC), 0);
    char *log = balancer_file(&scene.balancer, "access");
    for (size_t i = 0; i < ARRAY_LEN(expectations); i++) {
        char field[64];
        if (expectations[i].reason != NULL) {
            snprintf(field, sizeof field, "\"%s\"", expectations[i].reason);
            cr_assert_not_null(strstr(log, field), "%s: no %s in the log", expectations[i].id,
                               field);
        }
    }
    for (const char *at = log; *at != '\0'; at++) {
        cr_assert((unsigned char)*at >= ' ' || *at == '\n', "byte %d in the log", *at);
    }
    free(log);
    end(&scene);
}
