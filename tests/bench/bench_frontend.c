/* SPDX-License-Identifier: Apache-2.0 */
/* CPU of the real portico-frontend for one poll, beside libmicrohttpd answering the same bytes with
 * no work at all, in one run, the contestants in turn. CPU is the server process's user and system
 * time from /proc, divided by answers that were checked.
 *
 *     bench_frontend [--check] [--rounds N] [--polls N]
 *
 * Warm: the agent's cipher is known. Cold: each poll comes with a cipher that nobody has seen. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/socket.h"
#include "support/agent_client.h"
#include "support/support.h"
#include "wire/authority.h"
#include "wire/seal.h"

enum { AGENTS = 64, ROUNDS_MAX = 25, ANSWER_BYTES = 616 };

struct options {
    unsigned rounds;
    unsigned polls;
    bool check;
    const char *parameter; /* Key=value, for the frontend */
    const char *only;      /* loads with this in their name; NULL: all */
};

/* ---- The contestants ---- */

struct contestant {
    pid_t pid;
    struct address address;
    struct address metrics; /* of the frontend */
};

static void put_pem(FILE *file, const char *key, struct str pem)
{
    struct str line;
    fprintf(file, "%s: |\n", key);
    while (str_split(&pem, '\n', &line)) {
        fprintf(file, "  %.*s\n", STR_ARG(line));
    }
}

static char *write_site(const char *directory)
{
    struct rsa_key *ca = NULL;
    struct rsa_key *server = NULL;
    struct buffer pem[4];
    char *path;
    usec_t now = clock_wall(&clock_system);
    struct certificate_wish wish = {"bench_ca", 1, now - USEC_PER_DAY, now + USEC_PER_DAY};
    for (size_t i = 0; i < ARRAY_LEN(pem); i++) {
        buffer_init(&pem[i], RSA_PEM_BYTES_MAX);
    }
    CHECK(rsa_generate(2048, NULL, &ca) == 0 && rsa_generate(2048, NULL, &server) == 0);
    CHECK(authority_make(ca, &wish, &pem[0]) == 0);
    wish.common_name = "grr";
    wish.serial = 2;
    CHECK(authority_certify(ca, buffer_view(&pem[0]), server, &wish, &pem[1]) == 0);
    CHECK(rsa_private_to_pem(ca, &pem[2]) == 0 && rsa_private_to_pem(server, &pem[3]) == 0);
    CHECK(asprintf(&path, "%s/site.yaml", directory) > 0);
    FILE *file = fopen(path, "we");
    CHECK(file != NULL && fchmod(fileno(file), 0600) == 0);
    fprintf(file, "Datastore.location: %s/store\nRuntime.directory: %s/run\n", directory,
            directory);
    put_pem(file, "CA.certificate", buffer_view(&pem[0]));
    put_pem(file, "Frontend.certificate", buffer_view(&pem[1]));
    put_pem(file, "PrivateKeys.ca_key", buffer_view(&pem[2]));
    put_pem(file, "PrivateKeys.server_key", buffer_view(&pem[3]));
    CHECK(fclose(file) == 0);
    for (size_t i = 0; i < ARRAY_LEN(pem); i++) {
        buffer_done(&pem[i]);
    }
    rsa_key_free(ca);
    rsa_key_free(server);
    return path;
}

/* A port that was free a moment ago. */
static uint16_t free_port(void)
{
    struct address address;
    struct error error;
    CHECK(address_parse(STR("127.0.0.1:0"), 0, &address, &error) == 0);
    int fd = socket_listen(&address, &(struct listen_options){.backlog = 1}, &error);
    CHECK(fd >= 0 && socket_local_address(fd, &address) == 0);
    close(fd);
    return address_port(&address);
}

static struct address loopback(uint16_t port)
{
    struct address address;
    CHECK(address_from_host(STR("127.0.0.1"), port, &address, NULL) == 0);
    return address;
}

static struct contestant start_frontend(const char *site, const char *parameter)
{
    char port[16];
    char monitoring[64];
    char line[256];
    int pipe_fds[2];
    uint16_t number = free_port();
    uint16_t metrics = free_port();
    snprintf(port, sizeof port, "%u", number);
    snprintf(monitoring, sizeof monitoring, "Monitoring.http_port=%u", metrics);
    CHECK(pipe(pipe_fds) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(pipe_fds[1], STDOUT_FILENO);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        execl(PORTICO_FRONTEND, PORTICO_FRONTEND, "-c", site, "--port", port, "-p",
              "Frontend.bind_address=127.0.0.1", "-p", "Monitoring.http_address=127.0.0.1", "-p",
              monitoring, "-p", "Frontend.threads=1", "-p", "Logging.level=error", "-p", parameter,
              (char *)NULL);
        _exit(127);
    }
    close(pipe_fds[1]);
    FILE *out = fdopen(pipe_fds[0], "re");
    CHECK(out != NULL && fgets(line, sizeof line, out) != NULL);
    fclose(out);
    return (struct contestant){pid, loopback(number), loopback(metrics)};
}

static enum MHD_Result answer_nothing(void *context, struct MHD_Connection *connection,
                                      const char *path, const char *method, const char *version,
                                      const char *data, size_t *size, void **request)
{
    static int seen;
    (void)path;
    (void)method;
    (void)version;
    (void)data;
    if (*request == NULL) {
        *request = &seen;
        return MHD_YES;
    }
    if (*size > 0) {
        *size = 0;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, context);
}

/* libmicrohttpd doing nothing, set up as the frontend sets it up. */
static struct contestant start_bare(void)
{
    uint16_t port = free_port();
    int pipe_fds[2];
    char byte;
    CHECK(pipe(pipe_fds) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        static char body[ANSWER_BYTES];
        struct error error;
        struct address address = loopback(port);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = socket_listen(&address, &(struct listen_options){.no_delay = true}, &error);
        struct MHD_Response *response =
            MHD_create_response_from_buffer(sizeof body, body, MHD_RESPMEM_PERSISTENT);
        struct MHD_Daemon *daemon =
            MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer_nothing, response,
                             MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                             (size_t)8192, MHD_OPTION_CONNECTION_LIMIT, 10000U, MHD_OPTION_END);
        CHECK(fd >= 0 && daemon != NULL && write(pipe_fds[1], "x", 1) == 1);
        pause();
        _exit(0);
    }
    close(pipe_fds[1]);
    CHECK(read(pipe_fds[0], &byte, 1) == 1);
    close(pipe_fds[0]);
    return (struct contestant){.pid = pid, .address = loopback(port)};
}

static void stop(struct contestant *contestant)
{
    kill(contestant->pid, SIGTERM);
    waitpid(contestant->pid, NULL, 0);
}

/* ---- Counting ---- */

static double cpu_us(pid_t pid)
{
    char path[64];
    char text[1024];
    unsigned long user;
    unsigned long system;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL && fgets(text, sizeof text, file) != NULL);
    fclose(file);
    CHECK(sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                 &user, &system) == 2);
    return (double)(user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static uint64_t rsa_operations(const struct contestant *frontend, const char *name)
{
    static char page[1 << 20];
    size_t used = 0;
    uint64_t value = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    static const char request[] = "GET /metrics HTTP/1.0\r\n\r\n";
    CHECK(connect(fd, &frontend->metrics.any, frontend->metrics.len) == 0);
    CHECK(write(fd, request, sizeof request - 1) == sizeof request - 1);
    for (ssize_t n; (n = read(fd, page + used, sizeof page - 1 - used)) > 0;) {
        used += (size_t)n;
    }
    close(fd);
    page[used] = '\0';
    const char *at = strstr(page, name);
    while (at != NULL && (at == page || at[-1] != '\n')) {
        at = strstr(at + 1, name);
    }
    CHECK(at != NULL && sscanf(at + strlen(name), " %lu", &value) == 1);
    return value;
}

/* ---- The agents ---- */

struct fleet {
    struct agent_client agents[AGENTS];
    size_t count;
};

static void enrol(struct agent_client *agent, const struct address *server)
{
    struct buffer list;
    struct bundle bundle;
    buffer_init(&list, RSA_PEM_BYTES_MAX);
    bundle_init(&bundle, &agent->limits);
    agent_client_append_enrol(agent, &list);
    CHECK(agent_client_meet(agent, server) == 200);
    CHECK(agent_client_poll(agent, server, buffer_view(&list), &bundle) == 200);
    bundle_done(&bundle);
    buffer_done(&list);
}

static void fleet_init(struct fleet *fleet, size_t count, const struct address *server)
{
    fleet->count = count;
    for (size_t i = 0; i < count; i++) {
        struct rsa_key *key = NULL;
        CHECK(rsa_generate(2048, NULL, &key) == 0);
        agent_client_init(&fleet->agents[i], key);
        enrol(&fleet->agents[i], server);
    }
}

static void fleet_done(struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->count; i++) {
        agent_client_done(&fleet->agents[i]);
    }
}

static void poll_or_die(struct agent_client *agent, const struct address *server, struct str list)
{
    struct bundle bundle;
    bundle_init(&bundle, &agent->limits);
    int status = agent_client_poll(agent, server, list, &bundle);
    CHECK(status == 200);
    bundle_done(&bundle);
}

/* ---- The loads: each makes `polls` checked polls ---- */

struct load {
    const char *name;
    const char *goal;
    void (*run)(struct fleet *fleet, const struct contestant *server, unsigned polls);
    unsigned divisor; /* slower ones make fewer */
};

static void run_warm(struct fleet *fleet, const struct contestant *server, unsigned polls)
{
    fleet->agents[0].closes = false;
    for (unsigned i = 0; i < polls; i++) {
        poll_or_die(&fleet->agents[0], &server->address, STR(""));
    }
}

static void run_new_connections(struct fleet *fleet, const struct contestant *server,
                                unsigned polls)
{
    fleet->agents[0].closes = true;
    for (unsigned i = 0; i < polls; i++) {
        poll_or_die(&fleet->agents[0], &server->address, STR(""));
    }
    fleet->agents[0].closes = false;
}

/* Sixty-four agents in flight, each its own thread, a message of 1 KiB in each poll. */
struct sender {
    struct agent_client *agent;
    const struct address *server;
    unsigned polls;
};

static void *send_messages(void *context)
{
    struct sender *sender = context;
    static const char bytes[1024] = "statistics";
    for (unsigned i = 0; i < sender->polls; i++) {
        struct buffer list;
        buffer_init(&list, 1 << 16);
        agent_client_append_message(&list, "aff4:/flows/S:Stats", str_make(bytes, sizeof bytes),
                                    "ClientStats");
        poll_or_die(sender->agent, sender->server, buffer_view(&list));
        buffer_done(&list);
    }
    return NULL;
}

static void run_messages(struct fleet *fleet, const struct contestant *server, unsigned polls)
{
    pthread_t threads[AGENTS];
    struct sender senders[AGENTS];
    for (size_t i = 0; i < fleet->count; i++) {
        senders[i] = (struct sender){&fleet->agents[i], &server->address,
                                     polls / (unsigned)fleet->count + 1};
        CHECK(pthread_create(&threads[i], NULL, send_messages, &senders[i]) == 0);
    }
    for (size_t i = 0; i < fleet->count; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void run_cold(struct fleet *fleet, const struct contestant *server, unsigned polls)
{
    struct agent_client *agent = &fleet->agents[0];
    for (unsigned i = 0; i < polls; i++) {
        enum wire_reason reason;
        CHECK(sealing_make(&agent->tools, agent->key, agent->server,
                           str_from(agent_client_id(agent)), clock_wall(&clock_system),
                           &agent->sealing, &reason) == 0);
        poll_or_die(agent, &server->address, STR(""));
    }
}

/* The same bytes to libmicrohttpd alone. */
static void post_bytes(struct agent_client *agent, const struct contestant *server, unsigned polls)
{
    static const char bytes[634];
    for (unsigned i = 0; i < polls; i++) {
        CHECK(agent_client_post(agent, &server->address, str_make(bytes, sizeof bytes)) == 200);
    }
}

static void run_bare(struct fleet *fleet, const struct contestant *server, unsigned polls)
{
    fleet->agents[1].closes = false;
    post_bytes(&fleet->agents[1], server, polls);
}

static void run_bare_new(struct fleet *fleet, const struct contestant *server, unsigned polls)
{
    fleet->agents[1].closes = true;
    post_bytes(&fleet->agents[1], server, polls);
}

enum { LOADS = 6 };

static const struct load loads[LOADS] = {
    {"libmicrohttpd, no work, keep-alive", "", run_bare, 1},
    {"libmicrohttpd, no work, new connection", "", run_bare_new, 1},
    {"warm empty poll, keep-alive", "<= 20", run_warm, 1},
    {"warm empty poll, new connection", "<= 45", run_new_connections, 1},
    {"warm poll, 1 message committed, 64 in flight", "<= 60", run_messages, 1},
    {"cold poll (decrypt + verify)", "<= 1.05 x RSA", run_cold, 40},
};

static int compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

static void hang_up_all(struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->count; i++) {
        if (fleet->agents[i].fd >= 0) {
            close(fleet->agents[i].fd);
            fleet->agents[i].fd = -1;
        }
    }
}

static bool is_wanted(const struct options *options, const struct load *load)
{
    return options->only == NULL || strstr(load->name, options->only) != NULL;
}

static void measure_all(struct fleet *fleet, const struct contestant *frontend,
                        const struct contestant *bare, const struct options *options)
{
    static double samples[LOADS][ROUNDS_MAX];
    static double rates[LOADS][ROUNDS_MAX];
    uint64_t private_per_load[LOADS] = {0};
    for (unsigned round = 0; round < options->rounds; round++) {
        for (int i = 0; i < LOADS; i++) {
            if (!is_wanted(options, &loads[i])) {
                continue;
            }
            const struct contestant *server = i < 2 ? bare : frontend;
            unsigned polls = options->polls / loads[i].divisor + 1;
            uint64_t rsa =
                i < 2 ? 0
                      : rsa_operations(frontend, "portico_frontend_rsa_private_operations_total");
            hang_up_all(fleet); /* kept connections lead to the former contestant */
            double before = cpu_us(server->pid);
            usec_t began = clock_monotonic(&clock_system);
            loads[i].run(fleet, server, polls);
            samples[i][round] = (cpu_us(server->pid) - before) / polls;
            rates[i][round] = polls * 1e6 / (double)(clock_monotonic(&clock_system) - began + 1);
            if (i >= 2) {
                private_per_load[i] +=
                    rsa_operations(frontend, "portico_frontend_rsa_private_operations_total") - rsa;
            }
        }
    }
    printf("%-46s %8s  %-18s %-14s %s\n", "CPU of the server for one poll", "us", "range", "goal",
           "polls/s");
    for (int i = 0; i < LOADS; i++) {
        if (!is_wanted(options, &loads[i])) {
            continue;
        }
        qsort(samples[i], options->rounds, sizeof samples[i][0], compare);
        qsort(rates[i], options->rounds, sizeof rates[i][0], compare);
        printf("%-46s %8.1f  %6.1f to %-8.1f  %-14s %-7.0f", loads[i].name,
               samples[i][options->rounds / 2], samples[i][0], samples[i][options->rounds - 1],
               loads[i].goal, rates[i][options->rounds / 2]);
        if (i >= 2) {
            unsigned polls = (options->polls / loads[i].divisor + 1) * options->rounds;
            printf(" RSA private: %.3f a poll", (double)private_per_load[i] / polls);
        }
        printf("\n");
    }
}

static struct options parse(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"check", no_argument, NULL, 'c'},       {"rounds", required_argument, NULL, 'r'},
        {"polls", required_argument, NULL, 'p'}, {"set", required_argument, NULL, 's'},
        {"only", required_argument, NULL, 'o'},  {NULL, 0, NULL, 0}};
    struct options options = {
        .rounds = 5, .polls = 20000, .parameter = "Datastore.commit_delay=0s"};
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
        switch (option) {
        case 'c':
            options.rounds = 1;
            options.polls = 40;
            options.check = true;
            break;
        case 'r':
            options.rounds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 's':
            options.parameter = optarg;
            break;
        case 'o':
            options.only = optarg; /* loads with this in their name */
            break;
        case 'p':
            options.polls = (unsigned)strtoul(optarg, NULL, 10);
            break;
        default:
            exit(2);
        }
    }
    CHECK(options.rounds >= 1 && options.rounds <= ROUNDS_MAX && options.polls > 0);
    return options;
}

int main(int argc, char **argv)
{
    static struct fleet fleet;
    struct options options = parse(argc, argv);
    char *directory = make_temporary_directory();
    char *site = write_site(directory);
    struct contestant bare = start_bare();
    struct contestant frontend = start_frontend(site, options.parameter);
    fleet_init(&fleet, options.check ? 2 : AGENTS, &frontend.address);
    measure_all(&fleet, &frontend, &bare, &options);
    fleet_done(&fleet);
    stop(&frontend);
    stop(&bare);
    free(site);
    remove_temporary_directory(directory);
    return 0;
}
