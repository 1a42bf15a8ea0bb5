/* SPDX-License-Identifier: Apache-2.0 */
/* The same raw bytes to nginx, HAProxy and portico-balancer: prints what each makes of them. Fails
 * when ours accepts what both others refuse. tests/scripts/differential runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/compiler.h"
#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/http_client.h"
#include "support/raw_cases.h"
#include "support/support.h"

enum { PROXIES = 3, CASES_MAX = 400, PATIENCE_US = 400000 };

static const char *const names[PROXIES] = {"nginx", "haproxy", NULL};

struct verdict {
    unsigned status; /* 0: closed or nothing */
    unsigned requests;
    bool is_smuggled;
};

static struct {
    struct backends *backends;
    struct balancer_process balancer;
    char ids[CASES_MAX][8];
    struct verdict verdicts[CASES_MAX][PROXIES];
    unsigned proxy, count;
} scene;

/* The first final status, if one comes soon. */
static unsigned first_status(struct http_client *client)
{
    const struct timeval patience = {.tv_usec = PATIENCE_US};
    char head[4096];
    size_t len = 0;
    ssize_t n;
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while (len < sizeof head - 1 &&
           (n = recv(client->fd, head + len, sizeof head - 1 - len, 0)) > 0) {
        unsigned status;
        len += (size_t)n;
        head[len] = '\0';
        if (sscanf(head, "HTTP/1.%*u %3u ", &status) == 1) {
            return status;
        }
    }
    return 0;
}

static void try_case(const struct raw_case *c, void *unused)
{
    struct http_client client;
    struct recorder *recorder = backends_recorder(scene.backends);
    (void)unused;
    CHECK(scene.count < CASES_MAX);
    struct verdict *verdict = &scene.verdicts[scene.count][scene.proxy];
    recorder_clear(recorder);
    http_connect(&client, scene.balancer.port);
    http_send(&client, c->raw);
    verdict->status = first_status(&client);
    http_close(&client);
    verdict->requests = recorder_count(recorder);
    char *complaints = recorder_complaints(recorder);
    verdict->is_smuggled = strstr(complaints, "smuggled in") != NULL;
    free(complaints);
    snprintf(scene.ids[scene.count++], sizeof scene.ids[0], "%s", c->id);
}

static bool accepts(const struct verdict *verdict)
{
    return verdict->status / 100 == 1 || verdict->status / 100 == 2;
}

static void show(const struct verdict *verdict)
{
    char text[32];
    snprintf(text, sizeof text, "%u, %u seen%s", verdict->status, verdict->requests,
             verdict->is_smuggled ? " !" : "");
    printf(" %-16s", text);
}

int main(void)
{
    const char *peer = getenv("PORTICO_PEER");
    CHECK(peer != NULL);
    for (scene.proxy = 0; scene.proxy < PROXIES; scene.proxy++) {
        scene.backends = backends_new(2, false);
        scene.count = 0;
        if (names[scene.proxy] != NULL) {
            setenv("PEER", names[scene.proxy], 1);
            setenv("PORTICO_BALANCER", peer, 1);
        } else {
            unsetenv("PEER");
            unsetenv("PORTICO_BALANCER");
        }
        balancer_init(&scene.balancer, scene.backends);
        balancer_start_with(&scene.balancer, 2);
        raw_cases_visit("client", try_case, NULL);
        raw_cases_visit("frontend", try_case, NULL);
        balancer_done(&scene.balancer);
        backends_free(scene.backends);
    }
    unsigned worse = 0;
    printf("status, requests seen by members (! = one for /smuggled)\n%-6s %-16s %-16s %-16s\n",
           "case", "nginx", "haproxy", "portico");
    for (unsigned i = 0; i < scene.count; i++) {
        const struct verdict *v = scene.verdicts[i];
        bool is_worse = accepts(&v[2]) && !accepts(&v[0]) && !accepts(&v[1]);
        printf("%-6s", scene.ids[i]);
        for (unsigned proxy = 0; proxy < PROXIES; proxy++) {
            show(&v[proxy]);
        }
        puts(is_worse ? " accepted by us alone" : "");
        worse += is_worse;
    }
    printf("%u cases, %u accepted by us alone\n", scene.count, worse);
    return worse > 0;
}
