/* SPDX-License-Identifier: Apache-2.0 */
/* Servers to be measured. */
#include "bench/contestant.h"

#include <dirent.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "net/socket.h"
#include "support/http_client.h"

enum { ANSWER_BYTES = 616 }; /* what an empty answer has */

/* ---- Frontends ---- */

/* A port that was free a moment ago. */
static struct address free_port(void)
{
    struct address address;
    struct error error;
    CHECK(address_parse(STR("127.0.0.1:0"), 0, &address, &error) == 0);
    int fd = socket_listen(&address, &(struct listen_options){.backlog = 1}, &error);
    CHECK(fd >= 0 && socket_local_address(fd, &address) == 0);
    close(fd);
    return address;
}

void contestant_prepare(struct contestant *contestant, const struct contestant_wish *wish)
{
    static const char *const common[] = {
        "Frontend.threads=1",
        "Frontend.session_cache=64MiB",
        "Logging.level=error",
        "Datastore.last_seen_interval=5s",
        "Frontend.connection_limit=20000",
        "Monitoring.http_address=127.0.0.1",
    };
    char monitoring[64];
    memset(contestant, 0, sizeof *contestant);
    instance_init(&contestant->instance, wish->keys);
    contestant->instance.binary = wish->binary;
    contestant->metrics = free_port();
    snprintf(monitoring, sizeof monitoring, "Monitoring.http_port=%u",
             address_port(&contestant->metrics));
    instance_set(&contestant->instance, monitoring);
    for (size_t i = 0; i < ARRAY_LEN(common); i++) {
        instance_set(&contestant->instance, common[i]);
    }
    for (const char *const *own = wish->parameters; own != NULL && *own != NULL; own++) {
        instance_set(&contestant->instance, *own);
    }
}

void contestant_start(struct contestant *contestant)
{
    instance_start(&contestant->instance);
    contestant->pid = contestant->instance.process.pid;
    CHECK(address_from_host(STR("127.0.0.1"), contestant->instance.port, &contestant->address,
                            NULL) == 0);
}

/* ---- libmicrohttpd alone ---- */

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

/* In the child, until it is killed. */
static void serve_nothing(const struct address *address, int ready)
{
    static char body[ANSWER_BYTES];
    struct error error;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = socket_listen(address, &(struct listen_options){.no_delay = true}, &error);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof body, body, MHD_RESPMEM_PERSISTENT);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer_nothing, response,
                         MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                         (size_t)8192, MHD_OPTION_CONNECTION_LIMIT, 10000U, MHD_OPTION_END);
    CHECK(fd >= 0 && daemon != NULL && write(ready, "x", 1) == 1);
    pause();
    _exit(0);
}

void contestant_start_bare(struct contestant *contestant)
{
    int pipe_fds[2];
    char byte;
    memset(contestant, 0, sizeof *contestant);
    contestant->address = free_port();
    CHECK(pipe(pipe_fds) == 0);
    contestant->pid = fork();
    CHECK(contestant->pid >= 0);
    if (contestant->pid == 0) {
        serve_nothing(&contestant->address, pipe_fds[1]);
    }
    close(pipe_fds[1]);
    CHECK(read(pipe_fds[0], &byte, 1) == 1);
    close(pipe_fds[0]);
}

/* ---- Both ---- */

void contestant_end(struct contestant *contestant)
{
    if (contestant->instance.directory != NULL) {
        if (contestant->instance.process.pid > 0) {
            CHECK(instance_stop(&contestant->instance, 20 * USEC_PER_SEC) == 0);
        }
        instance_done(&contestant->instance);
    } else {
        kill(contestant->pid, SIGKILL);
        waitpid(contestant->pid, NULL, 0);
    }
}

double contestant_cpu(const struct contestant *contestant)
{
    char path[64];
    double total = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)contestant->pid);
    DIR *threads = opendir(path);
    const struct dirent *entry;
    CHECK(threads != NULL);
    while ((entry = readdir(threads)) != NULL) {
        char name[128];
        unsigned long long ns = 0;
        snprintf(name, sizeof name, "%s/%.20s/schedstat", path, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(name, "re");
        if (file != NULL) {
            CHECK(fscanf(file, "%llu", &ns) == 1);
            fclose(file);
        }
        total += (double)ns / 1000;
    }
    closedir(threads);
    return total;
}

uint64_t contestant_metric(const struct contestant *contestant, const char *name)
{
    struct http_answer answer;
    uint64_t value = 0;
    CHECK(http_once(address_port(&contestant->metrics), "GET", "/metrics", NULL, &answer) == 200);
    const char *page = answer.body.data;
    const char *at = strstr(page, name);
    while (at != NULL && (at[strlen(name)] != ' ' || (at != page && at[-1] != '\n'))) {
        at = strstr(at + 1, name);
    }
    CHECK(at != NULL && sscanf(at + strlen(name), " %lu", &value) == 1);
    http_answer_done(&answer);
    return value;
}
