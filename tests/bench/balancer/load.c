/* SPDX-License-Identifier: Apache-2.0 */
/* A small load generator and small servers for tests/bench/balancer/run. One thread, one epoll:
 *
 *   balancer_load serve PORT COUNT BYTES [DELAY_US]   servers on COUNT ports; BYTES in each answer
 *   balancer_load load PORT SECONDS CONNECTIONS RATE BODY keep|close [TLS]
 *   balancer_load idle PORT CONNECTIONS SECONDS [TLS]   connections that asked once and wait
 *
 * RATE 0: each connection asks again at once. Otherwise so many requests begin in each second, and
 * latencies count from when a request was due. `load` prints one line:
 * answered failed rate p50_us p99_us longest_us.
 *
 * TLS is 1.2 or 1.3, or either with "-resumed" behind it: each connection then comes with the
 * latest ticket. Two numbers more are printed: full and resumed handshakes, as they really were.
 * There is one cipher and one curve, so that every server does the same work. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

enum { IN_SIZE = 65536, EVENTS = 256, SAMPLES_MAX = 4 << 20, PORTS_MAX = 64, PEERS_MAX = 20000 };

struct peer {
    int fd;
    SSL *ssl; /* NULL: plain */
    bool is_listener, is_busy, is_connecting, is_shaking, has_ended;
    size_t got;    /* bytes of the head and what stands behind it */
    uint64_t left; /* of the body; valid when `has_head` */
    bool has_head;
    int64_t due; /* when the request was to begin */
    int64_t answer_at;
    char in[4096];
    size_t out_sent, out_len; /* of what is being sent */
};

static int epoll;
static struct peer *peers;
static struct peer *free_peers[PEERS_MAX];
static unsigned free_count;

static int64_t now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void watch(struct peer *peer, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    CHECK(epoll_ctl(epoll, operation, peer->fd, &event) == 0);
}

static struct sockaddr_in loopback(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static struct peer *peer_new(int fd)
{
    if (free_count == 0) {
        close(fd);
        return NULL;
    }
    struct peer *peer = free_peers[--free_count];
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *peer = (struct peer){.fd = fd};
    return peer;
}

/* As recv(). */
static ssize_t receive(const struct peer *peer, char *to, size_t room)
{
    if (peer->ssl == NULL) {
        return recv(peer->fd, to, room, 0);
    }
    int n = SSL_read(peer->ssl, to, (int)room);
    if (n <= 0) {
        int kind = SSL_get_error(peer->ssl, n);
        errno = kind == SSL_ERROR_WANT_READ ? EAGAIN : EPROTO;
        return kind == SSL_ERROR_ZERO_RETURN ? 0 : -1;
    }
    return n;
}

static void peer_free(struct peer *peer)
{
    if (peer->ssl != NULL) {
        /* Else the end of the connection would count against its session. */
        SSL_set_shutdown(peer->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(peer->ssl);
        peer->ssl = NULL;
    }
    close(peer->fd);
    peer->fd = -1;
    free_peers[free_count++] = peer;
}

/* Reads a message; -1: the end, 0: not all of it yet, 1: it is whole. */
static int read_message(struct peer *peer)
{
    static char block[IN_SIZE];
    for (;;) {
        char *to = peer->has_head ? block : peer->in + peer->got;
        size_t room = peer->has_head ? sizeof block : sizeof peer->in - 1 - peer->got;
        ssize_t n = receive(peer, to, room);
        if (n < 0) {
            return errno == EAGAIN ? 0 : -1;
        }
        if (n == 0) {
            return -1;
        }
        if (!peer->has_head) {
            peer->got += (size_t)n;
            peer->in[peer->got] = '\0';
            const char *end = strstr(peer->in, "\r\n\r\n");
            if (end == NULL) {
                continue;
            }
            const char *length = strcasestr(peer->in, "\r\nContent-Length:");
            peer->left = length == NULL ? 0 : strtoull(length + 17, NULL, 10);
            n = (ssize_t)(peer->got - (size_t)(end + 4 - peer->in));
            peer->has_head = true;
        }
        peer->left -= (uint64_t)n < peer->left ? (uint64_t)n : peer->left;
        if (peer->left == 0) {
            peer->has_head = false;
            peer->got = 0;
            return 1;
        }
    }
}

/* ---- Servers ---- */

static char *answer;
static size_t answer_len;
static int64_t delay_us;

static void make_answer(size_t bytes)
{
    answer = malloc(bytes + 128);
    CHECK(answer != NULL);
    answer_len =
        (size_t)snprintf(answer, 128, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", bytes);
    memset(answer + answer_len, '.', bytes);
    answer_len += bytes;
}

static void send_answer(struct peer *peer)
{
    while (peer->out_sent < answer_len) {
        ssize_t n =
            send(peer->fd, answer + peer->out_sent, answer_len - peer->out_sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) {
                peer->is_busy = true;
                watch(peer, EPOLLOUT, EPOLL_CTL_MOD);
                return;
            }
            peer_free(peer);
            return;
        }
        peer->out_sent += (size_t)n;
    }
    peer->out_sent = 0;
    if (peer->is_busy) {
        peer->is_busy = false;
        watch(peer, EPOLLIN, EPOLL_CTL_MOD);
    }
}

/* Answers that wait, in the order in which they are due: the delay is the same for all. */
static struct peer *waiting[PEERS_MAX];
static unsigned waiting_first, waiting_count;

static void serve_peer(struct peer *peer)
{
    if (peer->is_listener) {
        int fd;
        while ((fd = accept4(peer->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
            struct peer *client = peer_new(fd);
            if (client != NULL) {
                watch(client, EPOLLIN, EPOLL_CTL_ADD);
            }
        }
        return;
    }
    if (peer->is_busy) {
        send_answer(peer);
        return;
    }
    int got = read_message(peer);
    if (got < 0) {
        if (peer->answer_at == 0) { /* else it is in `waiting`, and found ended there */
            peer_free(peer);
        } else {
            watch(peer, 0, EPOLL_CTL_DEL);
            peer->has_ended = true;
        }
    } else if (got > 0 && delay_us == 0) {
        send_answer(peer);
    } else if (got > 0 && waiting_count < PEERS_MAX) {
        peer->answer_at = now_us() + delay_us;
        waiting[(waiting_first + waiting_count++) % PEERS_MAX] = peer;
    }
}

static int serve_waiting(void)
{
    while (waiting_count > 0) {
        struct peer *peer = waiting[waiting_first];
        int64_t left = peer->answer_at - now_us();
        if (left > 0) {
            return (int)(left / 1000) + 1;
        }
        waiting_first = (waiting_first + 1) % PEERS_MAX;
        waiting_count--;
        peer->answer_at = 0;
        if (peer->has_ended) {
            peer_free(peer);
        } else {
            send_answer(peer);
        }
    }
    return -1;
}

static int serve(unsigned port, unsigned count)
{
    const int on = 1;
    struct epoll_event events[EVENTS];
    CHECK(count <= PORTS_MAX);
    for (unsigned i = 0; i < count; i++) {
        struct sockaddr_in address = loopback(port + i);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
            listen(fd, 4096) != 0) {
            return 1; /* taken: the script tries another port */
        }
        struct peer *listener = peer_new(fd);
        listener->is_listener = true;
        watch(listener, EPOLLIN, EPOLL_CTL_ADD);
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, serve_waiting());
        for (int i = 0; i < n; i++) {
            serve_peer(events[i].data.ptr);
        }
    }
}

/* ---- Clients ---- */

static struct {
    unsigned port;
    bool closes;
    double rate;
    int64_t end, next, start;
    uint64_t answered, failed, begun;
    uint32_t *latencies;
    size_t samples;
    char request[65536];
    size_t request_len;
    struct peer *idle[PEERS_MAX];
    unsigned idle_count, open_count, connections;
    int64_t longest;
    SSL_CTX *tls; /* NULL: plain */
    bool resumes;
    SSL_SESSION *session; /* the latest ticket */
    uint64_t full, resumed;
} run;

/* ---- TLS ---- */

/* Copied: OpenSSL marks a session of TLS 1.3 as used up with its connection. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    if (run.resumes) {
        SSL_SESSION_free(run.session);
        run.session = SSL_SESSION_dup(session);
    }
    return 0;
}

static void start_tls(const char *what)
{
    int version = strncmp(what, "1.2", 3) == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    char groups[] = "X25519:P-256"; /* the second for certificates */
    run.resumes = strcmp(what + 3, "-resumed") == 0;
    CHECK(run.resumes || what[3] == '\0');
    run.tls = SSL_CTX_new(TLS_client_method());
    CHECK(run.tls != NULL);
    CHECK(SSL_CTX_set_min_proto_version(run.tls, version) == 1);
    CHECK(SSL_CTX_set_max_proto_version(run.tls, version) == 1);
    CHECK(SSL_CTX_set1_groups_list(run.tls, groups) == 1);
    CHECK(SSL_CTX_set_ciphersuites(run.tls, "TLS_AES_128_GCM_SHA256") == 1);
    CHECK(SSL_CTX_set_cipher_list(
              run.tls, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256") == 1);
    SSL_CTX_set_mode(run.tls, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(run.tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(run.tls, keep_session);
}

static void begin_tls(struct peer *peer)
{
    peer->ssl = SSL_new(run.tls);
    CHECK(peer->ssl != NULL && SSL_set_fd(peer->ssl, peer->fd) == 1);
    SSL_set_connect_state(peer->ssl);
    SSL_SESSION *session = run.session == NULL ? NULL : SSL_SESSION_dup(run.session);
    CHECK(session == NULL || SSL_set_session(peer->ssl, session) == 1);
    SSL_SESSION_free(session);
}

/* -1: failed, 0: not yet, 1: done. */
static int shake_hands(const struct peer *peer)
{
    int code = peer->ssl == NULL ? 1 : SSL_do_handshake(peer->ssl);
    if (code == 1) {
        bool is_resumed = peer->ssl != NULL && SSL_session_reused(peer->ssl) == 1;
        run.full += peer->ssl != NULL && !is_resumed;
        run.resumed += is_resumed;
        return 1;
    }
    return SSL_get_error(peer->ssl, code) == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* ---- Requests ---- */

static void make_request(unsigned body)
{
    int n =
        snprintf(run.request, 512,
                 "POST /control?api=3 HTTP/1.1\r\nHost: a\r\nContent-Type: binary/octet-stream\r\n"
                 "%sContent-Length: %u\r\n\r\n",
                 run.closes ? "Connection: close\r\n" : "", body);
    CHECK((size_t)n + body <= sizeof run.request);
    memset(run.request + n, 'b', body);
    run.request_len = (size_t)n + body;
}

static void begin_request(struct peer *peer)
{
    peer->is_busy = true;
    if (peer->ssl != NULL) {
        /* What is lost here shows at the read. */
        (void)SSL_write(peer->ssl, run.request, (int)run.request_len);
    } else if (send(peer->fd, run.request, run.request_len, MSG_NOSIGNAL) < 0 && errno != EPIPE) {
        CHECK(errno == ECONNRESET || errno == EAGAIN);
    }
}

static struct peer *dial(void)
{
    struct sockaddr_in address = loopback(run.port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    int code = connect(fd, (const struct sockaddr *)&address, sizeof address);
    struct peer *peer = code == 0 || errno == EINPROGRESS ? peer_new(fd) : NULL;
    if (peer == NULL) {
        return NULL;
    }
    peer->is_connecting = true;
    watch(peer, EPOLLOUT, EPOLL_CTL_ADD);
    run.open_count++;
    return peer;
}

static void drop(struct peer *peer)
{
    run.open_count--;
    peer_free(peer);
}

static void start_one(int64_t due)
{
    struct peer *peer = NULL;
    run.begun++;
    if (run.idle_count > 0) {
        peer = run.idle[--run.idle_count];
        peer->due = due;
        begin_request(peer);
        return;
    }
    peer = dial();
    if (peer == NULL) {
        run.failed++;
    } else {
        peer->due = due;
    }
}

static void note(int64_t due)
{
    int64_t took = now_us() - due;
    run.answered++;
    run.longest = took > run.longest ? took : run.longest;
    if (run.samples < SAMPLES_MAX) {
        run.latencies[run.samples++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
    }
}

/* The connection has no request in hand any more. */
static void finish_one(struct peer *peer, bool is_open)
{
    bool again = run.rate <= 0 && now_us() < run.end;
    if (!is_open || run.closes) {
        drop(peer);
        if (again) {
            start_one(now_us());
        }
        return;
    }
    peer->is_busy = false;
    if (again) {
        run.begun++;
        peer->due = now_us();
        begin_request(peer);
    } else {
        run.idle[run.idle_count++] = peer;
    }
}

static void forget_idle(const struct peer *peer)
{
    for (unsigned i = 0; i < run.idle_count; i++) {
        if (run.idle[i] == peer) {
            run.idle[i] = run.idle[--run.idle_count];
            return;
        }
    }
}

static void client_handshake(struct peer *peer)
{
    int code = shake_hands(peer);
    if (code < 0) {
        run.failed++;
        finish_one(peer, false);
    } else if (code > 0) {
        peer->is_shaking = false;
        begin_request(peer);
    }
}

static void client_event(struct peer *peer)
{
    if (peer->is_connecting) {
        int code = 0;
        socklen_t len = sizeof code;
        getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &code, &len);
        if (code != 0) {
            run.failed++;
            finish_one(peer, false);
            return;
        }
        peer->is_connecting = false;
        watch(peer, EPOLLIN, EPOLL_CTL_MOD);
        if (run.tls == NULL) {
            begin_request(peer);
            return;
        }
        begin_tls(peer);
        peer->is_shaking = true;
    }
    if (peer->is_shaking) {
        client_handshake(peer);
        return;
    }
    if (!peer->is_busy) { /* an idle one ended, or got a ticket */
        char byte;
        if (peer->ssl != NULL && receive(peer, &byte, 1) < 0 && errno == EAGAIN) {
            return;
        }
        forget_idle(peer);
        drop(peer);
        return;
    }
    int got = read_message(peer);
    if (got > 0) {
        if (strncmp(peer->in, "HTTP/1.1 200", 12) == 0) {
            note(peer->due);
        } else {
            run.failed++;
        }
        finish_one(peer, strcasestr(peer->in, "\r\nConnection: close") == NULL);
    } else if (got < 0) {
        run.failed++;
        finish_one(peer, false);
    }
}

static int compare(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;
    return (*x > *y) - (*x < *y);
}

static uint32_t quantile(uint32_t *values, double q)
{
    return run.samples == 0 ? 0 : values[(size_t)(q * (double)(run.samples - 1))];
}

static void tell(void)
{
    double seconds = (double)(now_us() - run.start) / 1e6;
    qsort(run.latencies, run.samples, sizeof *run.latencies, compare);
    printf("%llu %llu %.0f %u %u %lld", (unsigned long long)run.answered,
           (unsigned long long)run.failed, (double)run.answered / seconds,
           quantile(run.latencies, 0.5), quantile(run.latencies, 0.99), (long long)run.longest);
    if (run.tls != NULL) {
        printf(" %llu %llu", (unsigned long long)run.full, (unsigned long long)run.resumed);
    }
    puts("");
}

static void start_due(void)
{
    if (run.rate <= 0) {
        return;
    }
    double interval = 1e6 / run.rate;
    while (now_us() < run.end) {
        int64_t due = run.start + (int64_t)((double)run.begun * interval);
        if (due > now_us()) {
            return;
        }
        start_one(due);
    }
}

/* One connection ahead of all others, for its ticket. */
static void get_ticket(void)
{
    struct epoll_event event;
    int64_t deadline = now_us() + 3000000;
    start_one(now_us());
    while (run.answered + run.failed == 0 && now_us() < deadline) {
        if (epoll_wait(epoll, &event, 1, 100) == 1) {
            client_event(event.data.ptr);
        }
    }
    run.answered = run.failed = run.begun = run.full = 0;
    run.samples = 0;
    run.longest = 0;
}

static int load(unsigned seconds, unsigned connections)
{
    struct epoll_event events[EVENTS];
    /* Requests are due between milliseconds. */
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    const struct itimerspec every = {{0, 100000}, {0, 100000}};
    struct peer *ticker = peer_new(timer);
    ticker->is_listener = true;
    watch(ticker, EPOLLIN, EPOLL_CTL_ADD);
    if (run.rate > 0) {
        timerfd_settime(timer, 0, &every, NULL);
    }
    run.latencies = malloc(SAMPLES_MAX * sizeof *run.latencies);
    CHECK(run.latencies != NULL);
    if (run.resumes) {
        get_ticket();
    }
    run.start = now_us();
    run.end = run.start + (int64_t)seconds * 1000000;
    for (unsigned i = 0; run.rate <= 0 && i < connections; i++) {
        start_one(run.start);
    }
    /* What is in hand at the end gets two seconds more. */
    while (now_us() < run.end ||
           (run.open_count > run.idle_count && now_us() < run.end + 2000000)) {
        start_due();
        int n = epoll_wait(epoll, events, EVENTS, 10);
        for (int i = 0; i < n; i++) {
            struct peer *peer = events[i].data.ptr;
            uint64_t ticks;
            if (!peer->is_listener) {
                client_event(peer);
            } else if (read(peer->fd, &ticks, sizeof ticks) < 0) {
                continue;
            }
        }
    }
    run.failed += run.open_count - run.idle_count;
    tell();
    return 0;
}

static int idle(unsigned connections, unsigned seconds)
{
    struct epoll_event events[EVENTS];
    run.start = now_us();
    run.rate = 1; /* nobody asks again */
    int64_t deadline = run.start + 30000000;
    run.latencies = malloc(SAMPLES_MAX * sizeof *run.latencies);
    unsigned asked = 0;
    while (run.answered + run.failed < connections && now_us() < deadline) {
        while (asked < connections && asked - run.answered - run.failed < 200) {
            struct peer *peer = dial();
            CHECK(peer != NULL);
            peer->due = now_us();
            asked++;
        }
        int n = epoll_wait(epoll, events, EVENTS, 100);
        for (int i = 0; i < n; i++) {
            client_event(events[i].data.ptr);
        }
    }
    printf("idle %u\n", run.idle_count);
    fflush(stdout);
    sleep(seconds);
    return run.idle_count == connections ? 0 : 1;
}

static unsigned number(char *const *arguments, int count, int index)
{
    return index < count ? (unsigned)strtoul(arguments[index], NULL, 10) : 0;
}

int main(int count, char **arguments)
{
    const char *what = count > 2 ? arguments[1] : "";
    struct rlimit files;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    peers = calloc(PEERS_MAX, sizeof *peers);
    CHECK(epoll >= 0 && peers != NULL);
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        free_peers[free_count++] = &peers[i];
    }
    run.port = number(arguments, count, 2);
    if (strcmp(what, "serve") == 0) {
        make_answer(number(arguments, count, 4));
        delay_us = number(arguments, count, 5);
        return serve(run.port, number(arguments, count, 3));
    }
    if (strcmp(what, "load") == 0 && count >= 8) {
        if (count > 8) {
            start_tls(arguments[8]);
        }
        run.closes = strcmp(arguments[7], "close") == 0;
        run.rate = number(arguments, count, 5);
        make_request(number(arguments, count, 6));
        return load(number(arguments, count, 3), number(arguments, count, 4));
    }
    if (strcmp(what, "idle") == 0) {
        if (count > 5) {
            start_tls(arguments[5]);
        }
        make_request(0);
        return idle(number(arguments, count, 3), number(arguments, count, 4));
    }
    if (strcmp(what, "--check") == 0) {
        return 0;
    }
    fprintf(stderr, "usage: balancer_load serve|load|idle ..., see the source\n");
    return 2;
}
