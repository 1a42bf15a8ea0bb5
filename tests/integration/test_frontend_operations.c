/* SPDX-License-Identifier: Apache-2.0 */
/* What a service manager, a scraper and an operator see of an instance, and what it does when
 * another process is in its way. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "store/sqlite_engine.h"
#include "support/fake_agent.h"
#include "support/http_client.h"
#include "support/instance.h"
#include "support/parties.h"
#include "support/support.h"

#define PATIENCE (20 * USEC_PER_SEC)
#define STOP_PATIENCE (5 * USEC_PER_SEC)

static struct rsa_key *server;
static struct instance_keys keys;
static struct instance instance;
static struct fake_agent agent;
static int notifications = -1;

static void prepare(void)
{
    CHECK(rsa_generate(1024, NULL, &server) == 0);
    instance_keys_make(server, &keys);
    instance_init(&instance, &keys);
    fake_agent_init(&agent, server);
}

static void end(void)
{
    instance_done(&instance);
    instance_keys_free(&keys);
    fake_agent_done(&agent);
    rsa_key_free(server);
    if (notifications >= 0) {
        close(notifications);
    }
}

TestSuite(frontend_operations, .init = prepare, .fini = end);

static usec_t now(void)
{
    return clock_monotonic(&clock_system);
}

static unsigned get(const char *path)
{
    return http_once(instance.port, "GET", path, NULL, NULL);
}

static void enrol(void)
{
    fake_agent_ask(&agent);
    cr_assert_eq(fake_agent_poll_once(&agent, instance.port), 200);
}

static unsigned send_message(void)
{
    fake_agent_say(&agent, "aff4:/flows/S:Stats", "ClientStats", STR("nobodys-business"));
    return fake_agent_poll_once(&agent, instance.port);
}

static bool says_soon(const char *words)
{
    usec_t deadline = now() + PATIENCE;
    bool is_said = false;
    while (!is_said && now() < deadline) {
        char *log = instance_log(&instance);
        is_said = strstr(log, words) != NULL;
        free(log);
        sleep_for(is_said ? 0 : 5 * USEC_PER_MSEC);
    }
    return is_said;
}

/* ---- The service manager ---- */

/* Before the instance starts. */
static void listen_for_notifications(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", instance.directory);
    notifications = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(notifications >= 0);
    CHECK(bind(notifications, (struct sockaddr *)&address, sizeof address) == 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
}

/* The next notification with these words in it, "" when none comes. Those before are dropped. */
static const char *await_notification(const char *words)
{
    static char text[4096];
    usec_t deadline = now() + PATIENCE;
    while (now() < deadline) {
        struct pollfd pollfd = {.fd = notifications, .events = POLLIN};
        if (poll(&pollfd, 1, 100) > 0) {
            ssize_t len = recv(notifications, text, sizeof text - 1, 0);
            text[len < 0 ? 0 : len] = '\0';
            if (strstr(text, words) != NULL) {
                return text;
            }
        }
    }
    return "";
}

static void expect_notification(const char *words)
{
    cr_expect_neq(await_notification(words)[0], '\0', "no %s", words);
}

Test(frontend_operations, a_service_manager_is_told_everything)
{
    listen_for_notifications();
    setenv("WATCHDOG_USEC", "300000", 1);
    instance_start(&instance);
    cr_expect_not_null(strstr(await_notification("READY=1"), "STATUS=serving on 127.0.0.1:"));
    for (int i = 0; i < 3; i++) {
        expect_notification("WATCHDOG=1");
    }
    enrol();
    cr_expect_not_null(strstr(await_notification("1 so far"), "polls/s"));
    kill(instance.process.pid, SIGHUP);
    const char *reloading = await_notification("RELOADING=1");
    const char *at = strstr(reloading, "MONOTONIC_USEC=");
    cr_assert_not_null(at);
    usec_t began = (usec_t)strtoll(at + 15, NULL, 10);
    cr_expect(began <= now() && now() - began < PATIENCE);
    expect_notification("READY=1");
    cr_expect_eq(instance_stop(&instance, STOP_PATIENCE), 0);
    cr_expect_not_null(strstr(await_notification("STOPPING=1"), "EXTEND_TIMEOUT_USEC="));
}

Test(frontend_operations, a_failed_reload_is_in_the_status)
{
    listen_for_notifications();
    instance_start(&instance);
    free(write_file(instance.directory, "portico.yaml", STR("Frontend.bind_port: none\n")));
    kill(instance.process.pid, SIGHUP);
    expect_notification("RELOADING=1");
    cr_expect_not_null(strstr(await_notification("READY=1"), "the last reload failed"));
    cr_expect_eq(instance_stop(&instance, STOP_PATIENCE), 0);
}

Test(frontend_operations, finishes_what_is_in_flight_and_takes_nothing_new)
{
    struct http_client probe, slow, late;
    struct http_answer answer;
    char head[128];
    instance_start(&instance);
    enrol();
    struct str packet = fake_agent_packet(&agent);
    int len = snprintf(head, sizeof head,
                       "POST /control?api=3 HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
                       packet.len);
    http_connect(&probe, instance.port);
    cr_assert(http_request(&probe, "GET", "/healthz", NULL, &answer));
    cr_expect_eq(answer.status, 200);
    http_answer_done(&answer);
    http_connect(&slow, instance.port);
    cr_assert(http_send(&slow, str_make(head, (size_t)len)));
    cr_assert(http_send(&slow, str_first(packet, 10)));
    sleep_for(200 * USEC_PER_MSEC); /* so that its head was seen */
    usec_t began = now();
    kill(instance.process.pid, SIGTERM);
    unsigned status = 200;
    while (status == 200 && now() < began + PATIENCE) {
        cr_assert(http_request(&probe, "GET", "/healthz", NULL, &answer));
        status = answer.status;
        http_answer_done(&answer);
    }
    cr_expect_eq(status, 503);
    sleep_for(50 * USEC_PER_MSEC);
    cr_expect_eq(http_try_connect(&late, instance.port), -ECONNREFUSED);
    cr_assert(http_send(&slow, str_skip(packet, 10)));
    cr_assert(http_read(&slow, false, &answer));
    cr_expect_eq(answer.status, 200);
    http_answer_done(&answer);
    cr_expect_eq(instance_wait(&instance, STOP_PATIENCE), 0);
    http_close(&slow);
    http_close(&probe);
    free_str(packet);
}

/* ---- Another process in the way ---- */

static int stop_here(struct store *store, struct sqlite_link *link, void *context)
{
    (void)store;
    (void)link;
    (void)context;
    raise(SIGSTOP);
    return 0;
}

static pid_t start_stopped_writer(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct store *store = instance_store(&instance);
        _exit(sqlite_write(store, STORE_DURABLE, stop_here, NULL, NULL) == 0 ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    return pid;
}

/* What `portico send` says when it fails. */
static int send_request(char *said, size_t size)
{
    int pipes[2];
    char file[512];
    int status;
    size_t len = 0;
    CHECK(pipe(pipes) == 0);
    snprintf(file, sizeof file, "%s/portico.yaml", instance.directory);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipes[1], STDERR_FILENO);
        execl(PORTICO, "portico", "-c", file, "-p", "Datastore.busy_timeout=300ms", "send",
              fake_agent_id(&agent), "Echo", (char *)NULL);
        _exit(99);
    }
    close(pipes[1]);
    for (ssize_t n; (n = read(pipes[0], said + len, size - 1 - len)) > 0;) {
        len += (size_t)n;
    }
    said[len] = '\0';
    close(pipes[0]);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect_health_soon(unsigned wanted, usec_t patience)
{
    usec_t deadline = now() + patience;
    unsigned status;
    while ((status = get("/healthz")) != wanted && now() < deadline) {
        sleep_for(10 * USEC_PER_MSEC);
    }
    cr_expect_eq(status, wanted);
}

Test(frontend_operations, a_stopped_writer_costs_503_and_nothing_else)
{
    char said[2048];
    instance_set(&instance, "Datastore.busy_timeout=300ms");
    instance_start(&instance);
    enrol();
    cr_assert_eq(send_message(), 200);
    pid_t writer = start_stopped_writer();
    usec_t began = now();
    cr_expect_eq(send_message(), 503);
    cr_expect_str_eq(agent.reason, "store_failed");
    cr_expect_lt(now() - began, 3 * USEC_PER_SEC);
    expect_health_soon(503, 3 * USEC_PER_SEC);
    /* What needs no transaction goes on. */
    cr_expect_eq(fake_agent_poll_once(&agent, instance.port), 200);
    began = now();
    cr_expect_eq(send_request(said, sizeof said), 1);
    cr_expect_lt(now() - began, 5 * USEC_PER_SEC);
    cr_expect_not_null(strstr(said, "another process has kept the store locked"), "%s", said);
    cr_expect_not_null(strstr(said, "hint: "), "%s", said);
    kill(writer, SIGCONT);
    expect_health_soon(200, 3 * USEC_PER_SEC);
    cr_expect_eq(send_message(), 200);
    cr_expect_eq(send_request(said, sizeof said), 0, "%s", said);
    int status;
    CHECK(waitpid(writer, &status, 0) == writer);
    cr_expect_eq(instance_stop(&instance, STOP_PATIENCE), 0);
}

Test(frontend_operations, ends_in_time_beside_a_stopped_writer)
{
    instance_set(&instance, "Datastore.busy_timeout=300ms");
    instance_start(&instance);
    enrol();
    pid_t writer = start_stopped_writer();
    cr_expect_eq(send_message(), 503);
    cr_expect_neq(instance_stop(&instance, STOP_PATIENCE), -1);
    kill(writer, SIGKILL);
    CHECK(waitpid(writer, NULL, 0) == writer);
}

Test(frontend_operations, gives_up_in_time_when_the_store_hangs)
{
    struct http_client client;
    char head[128];
    instance_set(&instance, "Datastore.busy_timeout=600s");
    instance_set(&instance, "Frontend.stop_timeout=1s");
    instance_start(&instance);
    enrol();
    pid_t writer = start_stopped_writer();
    fake_agent_say(&agent, "aff4:/flows/S:Stats", "ClientStats", STR("x"));
    struct str packet = fake_agent_packet(&agent);
    int len = snprintf(head, sizeof head,
                       "POST /control?api=3 HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
                       packet.len);
    http_connect(&client, instance.port);
    cr_assert(http_send(&client, str_make(head, (size_t)len)));
    cr_assert(http_send(&client, packet));
    expect_health_soon(503, 5 * USEC_PER_SEC);
    cr_expect_eq(instance_stop(&instance, 10 * USEC_PER_SEC), 1);
    char *said = instance_log(&instance);
    cr_expect_not_null(strstr(said, "stopped before everything was finished"), "%s", said);
    free(said);
    http_close(&client);
    free_str(packet);
    kill(writer, SIGKILL);
    CHECK(waitpid(writer, NULL, 0) == writer);
}

/* ---- The access line ---- */

static char *last_line(const char *event)
{
    char *log = instance_log(&instance);
    char *found = NULL;
    for (char *line = strtok(log, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strstr(line, event) != NULL) {
            free(found);
            found = strdup(line);
        }
    }
    free(log);
    return found == NULL ? strdup("") : found;
}

static void expect_in(const char *line, const char *words)
{
    cr_expect_not_null(strstr(line, words), "no %s in: %s", words, line);
}

Test(frontend_operations, a_verbose_instance_writes_a_line_for_each_poll)
{
    char who[64];
    instance_set(&instance, "Logging.verbose=true");
    instance_start(&instance);
    enrol();
    cr_expect_eq(send_message(), 200);
    snprintf(who, sizeof who, "agent=%s", fake_agent_id(&agent));
    cr_expect(says_soon("store_us="));
    char *line = last_line("event=poll");
    const char *const words[] = {who,         "peer=127.0.0.1", "status=200", "reason=none",
                                 "bytes_in=", "bytes_out=",     "messages=1", "requests=0",
                                 "parse_us=", "store_us=",      "total_us="};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        expect_in(line, words[i]);
    }
    cr_expect_null(strstr(line, "rsa_us="), "a warm poll: %s", line);
    cr_expect_null(strstr(line, "bytes_out=0"), "%s", line);
    free(line);
    const struct str garbage = STR("garbage");
    cr_expect_eq(http_once(instance.port, "POST", "/control", &garbage, NULL), 400);
    cr_expect(says_soon("status=400"));
    line = last_line("event=poll");
    expect_in(line, "bytes_in=7");
    cr_expect_null(strstr(line, "agent="), "%s", line);
    free(line);
    char *log = instance_log(&instance);
    cr_expect_null(strstr(log, "nobodys-business"));
    cr_expect_null(strstr(log, "PRIVATE KEY"));
    free(log);
    cr_expect_eq(instance_stop(&instance, STOP_PATIENCE), 0);
}

/* ---- Metrics ---- */

static uint16_t metrics_port(void)
{
    cr_assert(says_soon("event=metrics"));
    char *line = last_line("event=metrics");
    const char *colon = strrchr(line, ':');
    cr_assert_not_null(colon);
    uint16_t port = (uint16_t)strtoul(colon + 1, NULL, 10);
    free(line);
    return port;
}

static void start_with_metrics(void)
{
    char first[64], last[64];
    unsigned port = 9100 + (unsigned)getpid() % 9000;
    snprintf(first, sizeof first, "Monitoring.http_port=%u", port);
    snprintf(last, sizeof last, "Monitoring.http_port_max=%u", port + 500);
    instance_set(&instance, "Monitoring.http_address=127.0.0.1");
    instance_set(&instance, first);
    instance_set(&instance, last);
    instance_start(&instance);
}

static char *scrape(uint16_t port)
{
    struct http_answer answer;
    cr_assert_eq(http_once(port, "GET", "/metrics", NULL, &answer), 200);
    char *page = str_dup(answer.body);
    http_answer_done(&answer);
    return page;
}

/* The value of one series, -1 when it is not there. */
static double value_of(const char *page, const char *series)
{
    size_t len = strlen(series);
    for (const char *at = strstr(page, series); at != NULL; at = strstr(at + 1, series)) {
        if ((at == page || at[-1] == '\n') && at[len] == ' ') {
            return strtod(at + len + 1, NULL);
        }
    }
    return -1;
}

static const struct {
    const char *series;
    double value;
} expected[] = {
    {"frontend_request_count_total{source=\"http\"}", 7},
    {"frontend_request_latency_count{source=\"http\"}", 7},
    {"frontend_active_count{source=\"http\"}", 0},
    {"frontend_max_active_count", 123},
    {"frontend_http_requests_total{action=\"control\",protocol=\"http\"}", 7},
    {"frontend_http_requests_total{action=\"cert\",protocol=\"http\"}", 1},
    {"frontend_http_requests_total{action=\"none\",protocol=\"http\"}", 1},
    {"grr_frontendserver_handle_num_total", 7},
    {"grr_frontendserver_handle_time_count", 7},
    {"grr_authenticated_messages_total", 5},
    {"grr_unauthenticated_messages_total", 0},
    {"grr_client_unknown_total", 1},
    {"grr_unique_clients_total", 2},
    {"grr_decoding_error_total", 1},
    {"grr_decryption_error_total", 0},
    {"grr_messages_sent_total", 0},
    {"grr_encrypted_cipher_cache_total{type=\"hits\"}", 4},
    {"grr_encrypted_cipher_cache_total{type=\"misses\"}", 2},
    {"grr_pub_key_cache_total{type=\"hits\"}", 4},
    {"portico_frontend_sealing_cache_total{type=\"hits\"}", 4},
    {"portico_frontend_sealing_cache_total{type=\"misses\"}", 1},
    {"portico_frontend_enrolments_total", 1},
    {"portico_frontend_messages_received_total", 2},
    {"portico_frontend_parse_seconds_count", 7},
    {"portico_frontend_rsa_seconds_count", 2},
    {"portico_frontend_store_seconds_count", 1},
    {"portico_frontend_refusals_total{reason=\"not_found\"}", 1},
    {"portico_frontend_refusals_total{reason=\"source_unknown\"}", 1},
    {"portico_store_commits_total{result=\"failed\"}", 0},
    {"portico_store_commit_bundles_sum", 1},
    {"portico_frontend_cached_agents", 1},
    {"portico_frontend_work_queue", 0},
    {"portico_store_queue", 0},
    {"portico_frontend_well", 1},
    {"portico_frontend_reloads_total{result=\"ok\"}", 0},
    {"portico_build_info{version=\"" PORTICO_VERSION "\"}", 1},
    /* Enrolling: decrypt, sign a cipher; the stranger: decrypt. Certificates are not counted. */
    {"portico_frontend_rsa_private_operations_total", 3},
};

static size_t differences(const char *page)
{
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        count += value_of(page, expected[i].series) != expected[i].value;
    }
    return count;
}

static void make_known_traffic(void)
{
    static struct fake_agent stranger;
    const struct str garbage = STR("garbage");
    enrol();
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(fake_agent_poll_once(&agent, instance.port), 200);
    }
    cr_assert_eq(send_message(), 200);
    fake_agent_init(&stranger, server);
    cr_assert_eq(fake_agent_poll_once(&stranger, instance.port), 406);
    fake_agent_done(&stranger);
    cr_assert_eq(http_once(instance.port, "POST", "/control", &garbage, NULL), 400);
    cr_assert_eq(get("/server.pem"), 200);
    cr_assert_eq(get("/nothing"), 404);
}

Test(frontend_operations, metrics_count_exactly_what_happened)
{
    instance_set(&instance, "Frontend.connection_limit=123");
    start_with_metrics();
    uint16_t port = metrics_port();
    make_known_traffic();
    /* A poll is counted when its answer is sent, which is a moment after the agent has it. */
    usec_t deadline = now() + 5 * USEC_PER_SEC;
    char *page = scrape(port);
    while (differences(page) > 0 && now() < deadline) {
        free(page);
        sleep_for(20 * USEC_PER_MSEC);
        page = scrape(port);
    }
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        cr_expect_eq(value_of(page, expected[i].series), expected[i].value, "%s is %g, not %g",
                     expected[i].series, value_of(page, expected[i].series), expected[i].value);
    }
    double private = value_of(page, "portico_frontend_rsa_private_operations_total");
    double public = value_of(page, "portico_frontend_rsa_public_operations_total");
    cr_expect_eq(value_of(page, "grr_rsa_operations_total"), private + public);
    cr_expect_gt(public, 0);
    cr_expect_gt(value_of(page, "frontend_in_bytes_total{source=\"http\"}"), 6 * 300);
    cr_expect_gt(value_of(page, "frontend_out_bytes_total{source=\"http\"}"), 5 * 300);
    cr_expect_gt(value_of(page, "process_open_fds"), 5);
    cr_expect_gt(value_of(page, "process_max_fds"), 5);
    cr_expect_gt(value_of(page, "process_resident_memory_bytes"), 1 << 20);
    cr_expect_gt(value_of(page, "process_cpu_seconds_total"), -1);
    double age = (double)time(NULL) - value_of(page, "process_start_time_seconds");
    cr_expect(age > -2 && age < 60, "%g", age);
    free(page);
    cr_expect_eq(instance_stop(&instance, STOP_PATIENCE), 0);
}

/* What `promtool check metrics` says of the page; its exit status, 127: there is none. */
static int run_promtool(const char *page, char *said, size_t size)
{
    const char *program = getenv("PORTICO_PROMTOOL");
    int input = memfd_create("page", MFD_CLOEXEC);
    int pipes[2];
    int status;
    size_t len = 0;
    CHECK(write(input, page, strlen(page)) == (ssize_t)strlen(page));
    CHECK(lseek(input, 0, SEEK_SET) == 0 && pipe(pipes) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(input, STDIN_FILENO);
        dup2(pipes[1], STDOUT_FILENO);
        dup2(pipes[1], STDERR_FILENO);
        execlp(program == NULL || *program == '\0' ? "promtool" : program, "promtool", "check",
               "metrics", (char *)NULL);
        _exit(127);
    }
    close(pipes[1]);
    close(input);
    for (ssize_t n; (n = read(pipes[0], said + len, size - 1 - len)) > 0;) {
        len += (size_t)n;
    }
    said[len] = '\0';
    close(pipes[0]);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* GRR's own names, older than the rules that promtool checks. */
static bool is_forgiven(const char *line)
{
    static const char *const names[] = {"frontend_active_count ", "frontend_max_active_count "};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strncmp(line, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

Test(frontend_operations, promtool_accepts_the_metrics)
{
    static char said[65536];
    start_with_metrics();
    make_known_traffic();
    char *page = scrape(metrics_port());
    int status = run_promtool(page, said, sizeof said);
    free(page);
    cr_expect_eq(instance_stop(&instance, STOP_PATIENCE), 0);
    if (status == 127) {
        SKIP_TEST("promtool is not installed (Debian: prometheus)");
    }
    cr_expect(status == 0 || status == 3, "status %d: %s", status, said); /* 3: style only */
    for (const char *line = strtok(said, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        cr_expect(is_forgiven(line), "%s", line);
    }
}

Test(frontend_operations, every_metric_is_in_the_manual)
{
    size_t len, count = 0;
    char *manual = read_file("docs/operations.md", &len);
    cr_assert_not_null(manual);
    start_with_metrics();
    char *page = scrape(metrics_port());
    for (char *line = strtok(page, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char name[128], quoted[132];
        if (sscanf(line, "# TYPE %127s", name) == 1) {
            snprintf(quoted, sizeof quoted, "`%s", name);
            cr_expect_not_null(strstr(manual, quoted), "%s is not in docs/operations.md", name);
            count++;
        }
    }
    cr_expect_gt(count, 40);
    free(page);
    free(manual);
    cr_expect_eq(instance_stop(&instance, STOP_PATIENCE), 0);
}
