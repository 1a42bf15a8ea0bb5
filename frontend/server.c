/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd's life cycle and the path table. Started and stopped by the main thread; the
 * handlers run on libmicrohttpd's. Its first call for a request only makes the request's state,
 * which its completion callback frees. */
#include "server.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config.h"
#include "pace.h"
#include "poll.h"

enum {
    /* Heads of agents and of our balancer are well below 2 KiB; this bounds what an idle connection
     * costs, and a head of more is answered 431. */
    CONNECTION_MEMORY = 8 * 1024,
    FILES_BESIDE = 128,              /* descriptors that are no connections: the store's, mostly */
    STOP_STEP = 5000,                /* us between looks at what is in flight */
    SENDER_GRACE = 3 * USEC_PER_SEC, /* for bodies that are still on their way when we stop */
};

struct server {
    struct frontend *frontend;
    struct MHD_Daemon *daemon;
    struct pace *pace;
};

/* What a request is, once its head was looked at. */
struct request_state {
    enum route route;
    struct poll *poll; /* of ROUTE_CONTROL */
};

/* Section 1: whatever begins with that name is the certificate, behind the agents' prefix. */
static bool is_certificate(const char *path)
{
    const char *last = strrchr(path, '/');
    return last != NULL && strncmp(last, "/server.pem", 11) == 0;
}

/* Agents may carry a prefix before every path of theirs (protocol section 1). */
static enum route route_of(const char *method, const char *path)
{
    bool is_get =
        strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    if (is_get && is_certificate(path)) {
        return ROUTE_CERTIFICATE;
    }
    if (is_get && strcmp(path, "/healthz") == 0) {
        return ROUTE_HEALTH;
    }
    bool is_named = is_certificate(path) || strcmp(path, "/healthz") == 0 ||
                    strcmp(path, "/metrics") == 0 || strncmp(path, "/upload", 7) == 0;
    if (strcmp(method, MHD_HTTP_METHOD_POST) == 0 && !is_named) {
        return ROUTE_CONTROL;
    }
    return ROUTE_NONE;
}

static enum MHD_Result refuse(struct frontend *frontend, const struct terms *terms,
                              struct MHD_Connection *connection, enum reason reason)
{
    if (!pace_enter(connection, PACE_ANSWER)) {
        return MHD_NO;
    }
    stats_refusal(frontend->stats, reason);
    return replies_refuse(terms->replies, connection, reason, true);
}

static enum reason check_poll(struct frontend *frontend, const struct terms *terms,
                              const struct head *head)
{
    if (!head->has_length) {
        return REASON_LENGTH_REQUIRED;
    }
    if (head->length > terms->max_body) {
        return REASON_BODY_TOO_LARGE;
    }
    return atomic_load(&frontend->is_stopping) ? REASON_STOPPING : REASON_NONE;
}

static enum MHD_Result begin_request(struct frontend *frontend, struct terms *terms,
                                     struct MHD_Connection *connection, enum route route,
                                     void **request)
{
    struct head head;
    enum reason reason = head_check(connection, &head);
    stats_request(frontend->stats, route);
    if (reason == REASON_NONE && route == ROUTE_CONTROL) {
        reason = check_poll(frontend, terms, &head);
    } else if (reason == REASON_NONE && head.length > 0) {
        reason = REASON_NOT_FOUND; /* nothing else takes a body: end it here, unread */
    }
    if (reason != REASON_NONE) {
        return refuse(frontend, terms, connection, reason);
    }
    if (!pace_enter(connection, route == ROUTE_CONTROL ? PACE_BODY : PACE_ANSWER)) {
        return MHD_NO;
    }
    struct request_state *state = calloc(1, sizeof *state);
    if (state != NULL && route == ROUTE_CONTROL) {
        state->poll = poll_new(frontend, terms, connection, &head);
    }
    if (state == NULL || (route == ROUTE_CONTROL && state->poll == NULL)) {
        free(state);
        return refuse(frontend, terms, connection, REASON_NO_MEMORY);
    }
    state->route = route;
    *request = state;
    return MHD_YES;
}

static enum MHD_Result answer_request(struct frontend *frontend, const struct terms *terms,
                                      struct MHD_Connection *connection, enum route route)
{
    switch (route) {
    case ROUTE_CERTIFICATE:
        return replies_certificate(terms->replies, connection);
    case ROUTE_HEALTH:
        return replies_health(terms->replies, connection, frontend_is_well(frontend));
    case ROUTE_CONTROL:
    case ROUTE_NONE:
    case ROUTE_COUNT:
        break;
    }
    stats_refusal(frontend->stats, REASON_NOT_FOUND);
    return replies_refuse(terms->replies, connection, REASON_NOT_FOUND, false);
}

static enum MHD_Result dispatch(struct frontend *frontend, struct MHD_Connection *connection,
                                enum route route, const char *data, size_t *size, void **request)
{
    struct request_state *state = *request;
    enum MHD_Result result;
    if (state != NULL && state->route == ROUTE_CONTROL) {
        return poll_continue(state->poll, data, size); /* has terms of its own */
    }
    struct terms *terms = frontend_terms(frontend);
    if (state == NULL) {
        result = begin_request(frontend, terms, connection, route, request);
    } else {
        result = answer_request(frontend, terms, connection, state->route);
    }
    terms_unref(terms);
    return result;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **request)
{
    struct server *server = context;
    struct frontend *frontend = server->frontend;
    (void)version;
    atomic_fetch_add_explicit(&frontend->calls_begun, 1, memory_order_relaxed);
    enum route route = *request == NULL ? route_of(method, path) : ROUTE_NONE;
    enum MHD_Result result = dispatch(frontend, connection, route, data, size, request);
    atomic_fetch_add_explicit(&frontend->calls_done, 1, memory_order_relaxed);
    return result;
}

static void complete(void *context, struct MHD_Connection *connection, void **request,
                     enum MHD_RequestTerminationCode code)
{
    struct request_state *state = *request;
    (void)context;
    (void)code;
    pace_enter(connection, PACE_IDLE);
    if (state != NULL) {
        if (state->poll != NULL) {
            poll_free(state->poll);
        }
        free(state);
        *request = NULL;
    }
}

static void note_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                            enum MHD_ConnectionNotificationCode code)
{
    struct server *server = context;
    pace_notify(server->pace, connection, socket_context, code);
    atomic_fetch_add(&server->frontend->connections,
                     code == MHD_CONNECTION_NOTIFY_STARTED ? 1U : -1U);
}

/* libmicrohttpd reports what peers do, so it could be made to fill the log. */
static struct log_limit library_limit = LOG_LIMIT(5, USEC_PER_SEC);

PRINTF_LIKE(2, 0)
static void log_library(void *context, const char *format, va_list arguments)
{
    char text[256];
    (void)context;
    vsnprintf(text, sizeof text, format, arguments);
    log_limited(&library_limit, LOG_LEVEL_DEBUG, "libmicrohttpd",
                LOG_STR("says", str_trim(str_from(text))));
}

static unsigned thread_count(const struct config *config)
{
    int64_t threads = config_int(config, "Frontend.threads");
    if (threads == 0) {
        threads = sysconf(_SC_NPROCESSORS_ONLN);
    }
    return threads < 1 ? 1 : (unsigned)threads;
}

/* As many connections as are wished for, or as the system allows this process; the store is not to
 * be without descriptors because of them. */
static unsigned allowed_connections(unsigned wanted)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0) {
        return wanted;
    }
    rlim_t needed = (rlim_t)wanted + FILES_BESIDE;
    if (files.rlim_cur < needed) {
        files.rlim_cur = files.rlim_max < needed ? files.rlim_max : needed;
        (void)setrlimit(RLIMIT_NOFILE, &files);
        (void)getrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur >= needed) {
        return wanted;
    }
    unsigned allowed =
        files.rlim_cur > 2 * FILES_BESIDE ? (unsigned)files.rlim_cur - FILES_BESIDE : FILES_BESIDE;
    log_warning("fewer connections than Frontend.connection_limit: raise the limit of open files",
                LOG_UINT("connections", allowed), LOG_UINT("files", files.rlim_cur));
    return allowed;
}

static int start_pace(struct server *server, const struct config *config, struct error *error)
{
    const struct pace_settings settings = {
        .head_timeout = config_usec(config, "Frontend.head_timeout"),
        .min_rate = config_size(config, "Frontend.min_rate"),
        .connection_limit = server->frontend->connection_limit,
        .stats = server->frontend->stats,
    };
    return pace_start(&settings, &server->pace, error);
}

int server_start(struct frontend *frontend, const struct config *config, int fd,
                 struct server **server, struct error *error)
{
    struct server *made = calloc(1, sizeof *made);
    int result = made == NULL ? -ENOMEM : poll_threads_init();
    if (result < 0) {
        close(fd);
        free(made);
        return error_set_errno(error, result, "cannot start the server");
    }
    made->frontend = frontend;
    frontend->connection_limit = allowed_connections(frontend->connection_limit);
    result = start_pace(made, config, error);
    if (result < 0) {
        close(fd);
        free(made);
        return result;
    }
    made->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        handle, made, MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_COMPLETED, complete, NULL, MHD_OPTION_THREAD_POOL_SIZE,
        thread_count(config), MHD_OPTION_CONNECTION_LIMIT, frontend->connection_limit,
        MHD_OPTION_NOTIFY_CONNECTION, note_connection, made, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(config_usec(config, "Frontend.idle_timeout") / USEC_PER_SEC),
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (made->daemon == NULL) {
        int code = errno == 0 ? -EIO : -errno;
        pace_stop(made->pace);
        close(fd);
        free(made);
        return error_set_errno(error, code, "cannot start libmicrohttpd");
    }
    *server = made;
    return 0;
}

/* Suspended connections are somebody's: libmicrohttpd must not be stopped before they are back. */
static bool wait_for_polls(struct frontend *frontend, usec_t patience)
{
    usec_t now = clock_monotonic(frontend->clock);
    usec_t deadline = usec_add(now, patience);
    usec_t grace = usec_add(now, patience < SENDER_GRACE ? patience : SENDER_GRACE);
    for (;;) {
        unsigned sending = atomic_load(&frontend->sending);
        unsigned in_flight = atomic_load(&frontend->in_flight);
        now = clock_monotonic(frontend->clock);
        /* Whoever has not sent all of a body was told nothing, and may be gone: libmicrohttpd
         * 0.9.75 overlooks an end that came together with the last bytes. */
        if (in_flight == 0 || (in_flight <= sending && now >= grace)) {
            return true;
        }
        if (now >= deadline) {
            return in_flight <= sending;
        }
        usleep(STOP_STEP);
    }
}

int server_stop(struct server *server, usec_t patience)
{
    struct frontend *frontend = server->frontend;
    atomic_store(&frontend->is_stopping, true);
    int fd = MHD_quiesce_daemon(server->daemon);
    if (fd >= 0) {
        /* Whoever comes now is refused, and may try elsewhere, instead of waiting for nothing. The
         * number stays taken: a thread of libmicrohttpd's may still look at it. */
        shutdown(fd, SHUT_RD);
    }
    bool is_done = wait_for_polls(frontend, patience);
    /* Whoever is still sending a body is cut off now; whoever is suspended comes back first. */
    if (frontend_flush(frontend, patience) < 0) {
        return -ETIMEDOUT; /* libmicrohttpd cannot be stopped while connections are suspended */
    }
    MHD_stop_daemon(server->daemon);
    pace_stop(server->pace);
    if (fd >= 0) {
        close(fd);
    }
    free(server);
    return is_done ? 0 : -ECANCELED;
}
