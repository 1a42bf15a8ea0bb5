/* SPDX-License-Identifier: Apache-2.0 */
/* portico run: the frontends and the balancer of one machine under one supervisor. Here is what
 * supervisor.c decides turned into processes, signals, questions and words. One thread, one loop.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ask.h"
#include "base/check.h"
#include "base/list.h"
#include "child.h"
#include "commands.h"
#include "lines.h"
#include "member_report.h"
#include "operation.h"
#include "run_plan.h"
#include "run_screen.h"
#include "supervisor.h"

#define OWN_NAME "portico run"
#define ASK_PATIENCE (2 * USEC_PER_SEC)
/* What a program needs to end besides what it was told to wait for. */
#define END_SLACK (3 * USEC_PER_SEC)

enum { PROBLEMS_MAX = 100, NOBODY = -1 };

struct run;

struct slot {
    struct run *run;
    unsigned number;
    struct child *child; /* NULL: no process */
    struct tail tail;
};

/* A question that waits for its answer. */
struct asking {
    struct list_link link;
    struct run *run;
    struct ask *ask;
    enum supervisor_question question;
    unsigned child;
};

LIST_DECLARE(asking_list, struct asking, link);

struct run {
    const struct operation *operation;
    struct run_plan plan;
    struct run_screen screen;
    struct loop *loop;
    struct supervisor *supervisor;
    struct slot *slots;
    struct watch signals;
    struct timer tick;
    struct loop_hook hook;
    struct asking_list askings;
    usec_t began;
    int blamed; /* a child, or NOBODY */
    bool is_ready;
};

/* ---- Words ---- */

static void say(struct run *run, const char *text)
{
    run_screen_line(&run->screen, run->plan.frontends + 1, OWN_NAME, str_from(text));
}

PRINTF_LIKE(2, 3) static void say_format(struct run *run, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say(run, text);
}

/* "localhost" for the wildcard addresses. */
static const char *host_for_people(const char *host, char text[ADDRESS_TEXT_SIZE])
{
    if (strcmp(host, "::") == 0 || strcmp(host, "0.0.0.0") == 0) {
        return "localhost";
    }
    snprintf(text, ADDRESS_TEXT_SIZE, strchr(host, ':') == NULL ? "%s" : "[%s]", host);
    return text;
}

static void say_url(struct run *run, const char *what, const char *scheme, const char *address_key,
                    int64_t port, const char *path)
{
    char host[ADDRESS_TEXT_SIZE];
    if (port != 0) {
        say_format(run, "  %-12s %s://%s:%lld%s", what, scheme,
                   host_for_people(config_str(run->operation->config, address_key), host),
                   (long long)port, path);
    }
}

static void say_frontends(struct run *run)
{
    const struct run_child *children = run->plan.children;
    unsigned count = run->plan.frontends;
    char host[ADDRESS_TEXT_SIZE];
    say_format(run, "  %-12s %s:%u-%u", "frontends",
               host_for_people(config_str(run->operation->config, "Frontend.bind_address"), host),
               children[0].port, children[count - 1].port);
    for (unsigned i = 0; i < count; i++) {
        say_url(run, i == 0 ? "their" : "", "http", "Monitoring.http_address",
                children[i].metrics_port, "/metrics");
    }
}

static void say_where(struct run *run)
{
    const struct config *config = run->operation->config;
    int64_t admin = config_int(config, "Balancer.admin_port");
    say_format(run, "all serve after %.1f s:",
               (double)(loop_now(run->loop) - run->began) / (double)USEC_PER_SEC);
    say_url(run, "agents", "http", "Balancer.bind_address",
            config_int(config, "Balancer.bind_port"), "/");
    say_url(run, "with TLS", "https", "Balancer.bind_address",
            config_int(config, "Balancer.tls_bind_port"), "/");
    say_url(run, "status page", "http", "Balancer.admin_address", admin, "/");
    say_url(run, "metrics", "http", "Balancer.admin_address", admin, "/metrics");
    say_frontends(run);
    say_format(run, "  %-12s %s", "admin socket", config_str(config, "Balancer.admin_socket"));
    say(run, "SIGHUP restarts the frontends one by one, SIGTERM or Ctrl-C ends all");
}

/* ---- Children ---- */

static void child_line(void *context, struct str line)
{
    struct slot *slot = context;
    struct run *run = slot->run;
    bool is_balancer = slot->number == run->plan.frontends;
    tail_add(&slot->tail, line);
    run_screen_line(&run->screen, slot->number, run->plan.names[slot->number], line);
    if (str_starts_with(line, is_balancer ? STR("portico-balancer: serving on ")
                                          : STR("portico-frontend: serving on "))) {
        supervisor_serves(run->supervisor, slot->number, loop_now(run->loop));
    }
}

static void child_ended(void *context, int status)
{
    struct slot *slot = context;
    struct run *run = slot->run;
    char text[CHILD_ENDING_SIZE];
    /* SIGTERM kills a program that has not begun to listen to it. */
    bool is_clean = (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
                    (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    child_free(slot->child);
    slot->child = NULL;
    supervisor_ended(run->supervisor, slot->number, is_clean, child_describe_ending(status, text),
                     loop_now(run->loop));
}

static int act_start(void *context, unsigned number)
{
    static const struct child_events events = {child_line, child_ended};
    struct run *run = context;
    struct slot *slot = &run->slots[number];
    struct error error = {.line = 0};
    CHECK(slot->child == NULL);
    int code = child_start(run->loop, run->plan.children[number].arguments, &events, slot,
                           &slot->child, &error);
    if (code < 0) {
        say(run, error.message);
        tail_add(&slot->tail, str_from(error.message));
    }
    return code;
}

static void act_signal(void *context, unsigned number, int signal)
{
    struct run *run = context;
    if (run->slots[number].child != NULL) {
        child_signal(run->slots[number].child, signal);
    }
}

/* ---- Questions ---- */

static enum supervisor_reply judge(const struct asking *asking, enum ask_outcome outcome,
                                   struct str answer)
{
    uint16_t port = asking->run->plan.children[asking->child].port;
    struct member_report report;
    if (outcome != ASK_ANSWERED) {
        return outcome == ASK_NOBODY ? REPLY_NONE : REPLY_NO;
    }
    bool is_yes = false;
    switch (asking->question) {
    case QUESTION_DRAIN:
    case QUESTION_ENABLE:
        is_yes = answer.len > 0 && !str_starts_with(answer, STR("error"));
        break;
    case QUESTION_IDLE:
        is_yes = member_report_read(answer, port, &report) && report.in_flight == 0;
        break;
    case QUESTION_UP:
        is_yes = member_report_read(answer, port, &report) && report.is_up;
        break;
    case QUESTION_HEALTHY:
        is_yes = str_starts_with(answer, STR("HTTP/1.1 200 "));
        break;
    }
    return is_yes ? REPLY_YES : REPLY_NO;
}

static void asking_free(struct asking *asking)
{
    asking_list_remove(&asking->run->askings, asking);
    free(asking);
}

static void answered(void *context, enum ask_outcome outcome, struct str answer)
{
    struct asking *asking = context;
    struct run *run = asking->run;
    enum supervisor_question question = asking->question;
    unsigned child = asking->child;
    enum supervisor_reply reply = judge(asking, outcome, answer);
    asking_free(asking);
    supervisor_answered(run->supervisor, question, child, reply, loop_now(run->loop));
}

static int word_question(const struct run *run, enum supervisor_question question, unsigned child,
                         char text[ASK_QUESTION_MAX], struct address *to)
{
    unsigned port = run->plan.children[child].port;
    const char *path = config_str(run->operation->config, "Balancer.admin_socket");
    switch (question) {
    case QUESTION_HEALTHY:
        *to = run->plan.children[child].address;
        snprintf(text, ASK_QUESTION_MAX,
                 "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        return to->len == 0 ? -EINVAL : 0;
    case QUESTION_DRAIN:
        snprintf(text, ASK_QUESTION_MAX, "drain %u\n", port);
        break;
    case QUESTION_ENABLE:
        snprintf(text, ASK_QUESTION_MAX, "enable %u\n", port);
        break;
    case QUESTION_IDLE:
    case QUESTION_UP:
        snprintf(text, ASK_QUESTION_MAX, "json show members\n");
        break;
    }
    return address_from_path(str_from(path), to, NULL);
}

/* What cannot be asked gets no answer; the step's deadline does the rest. */
static void act_ask(void *context, enum supervisor_question question, unsigned child)
{
    struct run *run = context;
    char text[ASK_QUESTION_MAX];
    struct address to;
    struct asking *asking = calloc(1, sizeof *asking);
    if (asking == NULL || word_question(run, question, child, text, &to) < 0) {
        free(asking);
        return;
    }
    asking->run = run;
    asking->question = question;
    asking->child = child;
    asking_list_push_back(&run->askings, asking);
    asking->ask = ask_start(run->loop, &to, str_from(text), ASK_PATIENCE, answered, asking);
    if (asking->ask == NULL) {
        asking_free(asking);
    }
}

/* ---- What else the supervisor wants ---- */

static void act_say(void *context, const char *text)
{
    say(context, text);
}

static void act_ready(void *context)
{
    struct run *run = context;
    run->is_ready = true;
}

static void act_blame(void *context, unsigned child)
{
    struct run *run = context;
    run->blamed = (int)child;
}

/* The last thing on the screen, where it is found. */
static void say_blame(struct run *run)
{
    const struct tail *tail = &run->slots[run->blamed].tail;
    say_format(run, "%s kept dying, so everything was stopped. Its last lines:",
               run->plan.names[run->blamed]);
    for (unsigned i = 0; i < tail_count(tail); i++) {
        struct str line = tail_at(tail, i);
        say_format(run, "  %.*s", STR_ARG(line));
    }
}

/* ---- Signals ---- */

/* What no child could start with shall not take down those that serve. */
static bool configuration_is_fine(struct run *run)
{
    struct config *config = NULL;
    struct problems *problems = problems_new(PROBLEMS_MAX);
    if (problems == NULL) {
        return false;
    }
    int code = command_line_load(run->operation->line, problems, &config);
    size_t errors = problems_errors(problems);
    config_unref(config);
    if (code < 0) {
        problems_print(problems, run->operation->err);
        fflush(run->operation->err);
        say_format(run,
                   "no rolling restart: the configuration has %zu error%s; all go on as they are",
                   errors, errors == 1 ? "" : "s");
    }
    problems_free(problems);
    return code == 0;
}

static void signalled(struct watch *watch, unsigned ready)
{
    struct run *run = CONTAINER_OF(watch, struct run, signals);
    struct signalfd_siginfo info;
    (void)ready;
    while (read(watch->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGHUP) {
            supervisor_stop(run->supervisor, loop_now(run->loop));
        } else if (configuration_is_fine(run)) {
            supervisor_roll(run->supervisor, loop_now(run->loop));
        }
    }
}

static void choose_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
}

/* ---- Running ---- */

static void ticked(struct timer *timer, usec_t now)
{
    supervisor_tick(CONTAINER_OF(timer, struct run, tick)->supervisor, now);
}

/* Before each sleep: what happened may have moved every deadline. */
static void before_sleep(struct loop_hook *hook)
{
    struct run *run = CONTAINER_OF(hook, struct run, hook);
    bool has_failed;
    if (run->is_ready) {
        run->is_ready = false;
        say_where(run);
    }
    loop_arm(run->loop, &run->tick, supervisor_deadline(run->supervisor));
    if (supervisor_is_over(run->supervisor, &has_failed)) {
        loop_stop(run->loop);
    }
}

static int make_supervisor(struct run *run)
{
    static const struct supervisor_acts acts = {
        .start = act_start,
        .signal = act_signal,
        .ask = act_ask,
        .say = act_say,
        .ready = act_ready,
        .blame = act_blame,
    };
    const struct config *config = run->operation->config;
    const struct supervisor_settings settings = {
        .frontends = run->plan.frontends,
        .names = run->plan.names,
        .frontend_patience = config_usec(config, "Frontend.stop_timeout") + END_SLACK,
        .balancer_patience = config_usec(config, "Balancer.drain_timeout") + END_SLACK,
    };
    run->supervisor = supervisor_new(&settings, &acts, run);
    return run->supervisor == NULL ? operation_fail(run->operation, "out of memory") : 0;
}

static int make_slots(struct run *run)
{
    run->slots = calloc(run->plan.frontends + 1, sizeof *run->slots);
    if (run->slots == NULL) {
        return operation_fail(run->operation, "out of memory");
    }
    for (unsigned i = 0; i <= run->plan.frontends; i++) {
        run->slots[i].run = run;
        run->slots[i].number = i;
    }
    return 0;
}

static int make_loop(struct run *run)
{
    struct error error = {.line = 0};
    sigset_t signals;
    run->loop = loop_new(&clock_system, &error);
    if (run->loop == NULL) {
        return operation_fail(run->operation, "%s", error.message);
    }
    choose_signals(&signals);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    watch_init(&run->signals, signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), signalled);
    if (run->signals.fd < 0 || watch_set(run->loop, &run->signals, WATCH_READ) < 0) {
        return operation_fail(run->operation, "cannot listen to signals");
    }
    timer_init(&run->tick, ticked);
    run->hook.run = before_sleep;
    loop_hook_add(run->loop, &run->hook);
    return 0;
}

static int longest_name(const struct run_plan *plan)
{
    size_t longest = strlen(OWN_NAME);
    for (unsigned i = 0; i <= plan->frontends; i++) {
        size_t len = strlen(plan->names[i]);
        longest = len > longest ? len : longest;
    }
    return (int)longest;
}

static int serve(struct run *run)
{
    bool has_failed = true;
    fflush(run->operation->out); /* from now on its descriptor is written to */
    run_screen_init(&run->screen, fileno(run->operation->out), longest_name(&run->plan));
    run->began = loop_now(run->loop);
    say_format(run, "starting %u frontend%s and the balancer", run->plan.frontends,
               run->plan.frontends == 1 ? "" : "s");
    supervisor_begin(run->supervisor, run->began);
    int code = loop_run(run->loop);
    if (code < 0) {
        return operation_fail(run->operation, "the event loop failed: %s", strerror(-code));
    }
    if (!supervisor_is_over(run->supervisor, &has_failed) || has_failed) {
        if (run->blamed != NOBODY) {
            say_blame(run);
        }
        return EXIT_STATUS_FAILED;
    }
    say(run, "all ended");
    return EXIT_STATUS_FINE;
}

static void run_free(struct run *run)
{
    struct asking *asking;
    while ((asking = asking_list_first(&run->askings)) != NULL) {
        ask_free(asking->ask);
        asking_free(asking);
    }
    for (unsigned i = 0; run->slots != NULL && i <= run->plan.frontends; i++) {
        child_free(run->slots[i].child);
    }
    if (run->signals.fd >= 0) {
        close(run->signals.fd);
    }
    loop_free(run->loop);
    supervisor_free(run->supervisor);
    free(run->slots);
    run_plan_done(&run->plan);
    free(run);
}

int command_run(const struct operation *operation)
{
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL) {
        return operation_fail(operation, "out of memory");
    }
    run->operation = operation;
    run->signals.fd = -1;
    run->blamed = NOBODY;
    asking_list_init(&run->askings);
    int status = run_plan_make(operation, &run->plan);
    status = status != 0 ? status : run_plan_check_ports(operation, &run->plan);
    status = status != 0 ? status : make_slots(run);
    status = status != 0 ? status : make_supervisor(run);
    status = status != 0 ? status : make_loop(run);
    status = status != 0 ? status : serve(run);
    run_free(run);
    return status;
}
