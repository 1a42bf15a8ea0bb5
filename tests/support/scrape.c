/* SPDX-License-Identifier: Apache-2.0 */
/* Scraping the metrics of instances. */
#include "support/scrape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "net/port_holder.h"
#include "support/http_client.h"
#include "support/instance.h"

/* Below what the kernel gives to clients, above the instances' own. */
enum { FIRST_PORT = 31600, LAST_PORT = 32600 };

void scrape_enable(struct instance *instance)
{
    char text[INSTANCE_PARAMETER_SIZE];
    instance_set(instance, "Monitoring.http_address=127.0.0.1");
    snprintf(text, sizeof text, "Monitoring.http_port=%d", FIRST_PORT + (int)getpid() % 900);
    instance_set(instance, text);
    snprintf(text, sizeof text, "Monitoring.http_port_max=%d", LAST_PORT);
    instance_set(instance, text);
}

/* The instance took one of a range and tells which in a log that it may share with others. */
static uint16_t find_port(const struct instance *instance)
{
    for (int port = FIRST_PORT + (int)getpid() % 900; port <= LAST_PORT; port++) {
        struct port_holder holder;
        if (port_holder_find((uint16_t)port, &holder) != 0 && holder.pid == instance->process.pid) {
            return (uint16_t)port;
        }
    }
    return 0;
}

static char *fetch(const struct instance *instance)
{
    static pid_t known_pid;
    static uint16_t known_port;
    struct http_answer answer;
    if (known_pid != instance->process.pid) {
        known_port = find_port(instance);
        known_pid = instance->process.pid;
    }
    CHECK(known_port != 0);
    CHECK(http_once(known_port, "GET", "/metrics", NULL, &answer) == 200);
    char *page = str_dup(answer.body);
    CHECK(page != NULL);
    http_answer_done(&answer);
    return page;
}

double scrape_value(const struct instance *instance, const char *series)
{
    size_t len = strlen(series);
    char *page = fetch(instance);
    const char *line = page;
    while (line != NULL && (strncmp(line, series, len) != 0 || line[len] != ' ')) {
        line = strchr(line, '\n');
        line += line != NULL;
    }
    CHECK(line != NULL);
    double value = strtod(line + len + 1, NULL);
    free(page);
    return value;
}

uint64_t scrape_rsa(const struct instance *instance)
{
    return (uint64_t)(scrape_value(instance, "portico_frontend_rsa_private_operations_total") +
                      scrape_value(instance, "portico_frontend_rsa_public_operations_total"));
}
