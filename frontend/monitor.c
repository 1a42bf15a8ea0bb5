/* SPDX-License-Identifier: Apache-2.0 */
/* The monitoring listener: one thread of libmicrohttpd's that answers scrapers. */
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/metrics.h"
#include "server.h"

enum { PAGE_MAX = 4 << 20, CONNECTIONS = 32, TIMEOUT_SECONDS = 10 };

struct monitor {
    struct frontend *frontend;
    struct MHD_Daemon *daemon;
};

static enum MHD_Result answer_metrics(struct frontend *frontend, const struct terms *terms,
                                      struct MHD_Connection *connection)
{
    struct buffer page;
    buffer_init(&page, PAGE_MAX);
    if (metrics_write(stats_metrics(frontend->stats), &page) < 0) {
        buffer_done(&page);
        return replies_refuse(terms->replies, connection, REASON_NO_MEMORY, true);
    }
    return reply_text(connection, "text/plain; version=0.0.4", page.data, page.end);
}

/* The type is libmicrohttpd's. */
/* NOLINTBEGIN(readability-non-const-parameter) */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **request)
{
    struct monitor *monitor = context;
    static int seen;
    (void)version;
    (void)data;
    (void)size;
    if (*request == NULL) {
        *request = &seen; /* answer at the second call: the connection may then be kept */
        return MHD_YES;
    }
    bool is_get = strcmp(method, MHD_HTTP_METHOD_GET) == 0;
    struct terms *terms = frontend_terms(monitor->frontend);
    enum MHD_Result result;
    if (is_get && strcmp(path, "/metrics") == 0) {
        result = answer_metrics(monitor->frontend, terms, connection);
    } else if (is_get && strcmp(path, "/healthz") == 0) {
        result = replies_health(terms->replies, connection, frontend_is_well(monitor->frontend));
    } else {
        result = replies_refuse(terms->replies, connection, REASON_NOT_FOUND, true);
    }
    terms_unref(terms);
    return result;
}
/* NOLINTEND(readability-non-const-parameter) */

int monitor_start(struct frontend *frontend, int fd, struct monitor **monitor, struct error *error)
{
    struct monitor *made = calloc(1, sizeof *made);
    if (made == NULL) {
        close(fd);
        return error_set(error, -ENOMEM, "no memory");
    }
    made->frontend = frontend;
    made->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle, made,
                                    MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                                    (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
                                    (unsigned)TIMEOUT_SECONDS, MHD_OPTION_END);
    if (made->daemon == NULL) {
        close(fd);
        free(made);
        return error_set(error, -EIO, "cannot start the monitoring listener");
    }
    *monitor = made;
    return 0;
}

void monitor_stop(struct monitor *monitor)
{
    if (monitor != NULL) {
        MHD_stop_daemon(monitor->daemon);
        free(monitor);
    }
}
