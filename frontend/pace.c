/* SPDX-License-Identifier: Apache-2.0 */
/* Watching connections. Lists of them are locked piecemeal; a connection's phase is one atomic word
 * that its own thread and the watching one change by compare-and-exchange, so that a peer is either
 * answered or sent away. The kernel counts the bytes, and times are those at which the watching
 * thread looked: a request costs no system call for all this.
 *
 * A connection's file descriptor is open as long as it is listed: libmicrohttpd tells of its end
 * before it closes it. */
#include "pace.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* libc's own is older than the counts of bytes */
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/list.h"
#include "base/log.h"
#include "reply.h"
#include "stats.h"

enum {
    SHARDS = 64, /* so that nobody waits for a look at 10,000 connections */
    PHASE_BITS = 3,
    CLOSE_WAIT = 8,                  /* of TCP's states, which only libc's header names */
    PERIOD = 500 * 1000,             /* us between looks */
    HEAD_LOOK = 2 * USEC_PER_SEC,    /* between looks whether an idle one began a head */
    AGES = 128,                      /* seconds of idleness that are told apart */
    AGE_MIN = 2 * (int)USEC_PER_SEC, /* of who may have to go: others were just about to speak */
    FULL_PERCENT = 94,               /* of the limit, from which on the idle have to go, */
    ROOMY_PERCENT = 88,              /* down to which */
};

struct watch {
    struct list_link link; /* in its shard */
    struct pace *pace;
    unsigned shard;
    int fd;
    _Atomic uint64_t word; /* a number that rises with each change, and the phase */

    /* The watching thread's own. */
    uint64_t seen;  /* the word */
    usec_t seen_at; /* since when it is this */
    usec_t window;  /* since when bytes are counted */
    usec_t looked;
    uint64_t bytes; /* at that time */
    bool has_begun; /* a head */
    bool has_ended; /* the peer, and all it sent was read */
};

LIST_DECLARE(watches, struct watch, link);

struct shard {
    pthread_mutex_t lock;
    struct watches watches;
};

struct pace {
    struct pace_settings settings;
    pthread_t thread;
    pthread_mutex_t lock; /* for `is_ending` */
    pthread_cond_t wake;
    bool is_ending;
    atomic_uint count;
    atomic_uint next_shard;
    struct shard shards[SHARDS];
    unsigned ages[AGES]; /* the thread's own: idle connections by seconds */
};

static struct log_limit slow_limit = LOG_LIMIT(1, USEC_PER_SEC);

/* ---- phases ---- */

static enum pace_phase phase_of(uint64_t word)
{
    return (enum pace_phase)(word & ((1U << PHASE_BITS) - 1));
}

static uint64_t next_word(uint64_t word, enum pace_phase phase)
{
    return (((word >> PHASE_BITS) + 1) << PHASE_BITS) | (uint64_t)phase;
}

bool pace_enter(struct MHD_Connection *connection, enum pace_phase phase)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct watch *watch = info == NULL ? NULL : info->socket_context;
    if (watch == NULL) {
        return true; /* there was no memory to watch it */
    }
    uint64_t word = atomic_load_explicit(&watch->word, memory_order_relaxed);
    return phase_of(word) != PACE_GONE &&
           atomic_compare_exchange_strong(&watch->word, &word, next_word(word, phase));
}

/* ---- connections come and go ---- */

static void begin(struct pace *pace, struct MHD_Connection *connection, void **socket_context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL || info == NULL) {
        free(watch);
        return;
    }
    watch->pace = pace;
    watch->fd = info->connect_fd;
    watch->shard = atomic_fetch_add(&pace->next_shard, 1) % SHARDS;
    watch->seen_at = watch->window = watch->looked = clock_monotonic(&clock_system);
    struct shard *shard = &pace->shards[watch->shard];
    pthread_mutex_lock(&shard->lock);
    watches_push_back(&shard->watches, watch);
    pthread_mutex_unlock(&shard->lock);
    atomic_fetch_add(&pace->count, 1);
    *socket_context = watch;
}

static void forget(struct pace *pace, struct watch *watch)
{
    struct shard *shard = &pace->shards[watch->shard];
    pthread_mutex_lock(&shard->lock);
    watches_remove(&shard->watches, watch);
    pthread_mutex_unlock(&shard->lock);
    atomic_fetch_sub(&pace->count, 1);
    free(watch);
}

void pace_notify(void *context, struct MHD_Connection *connection, void **socket_context,
                 enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        begin(context, connection, socket_context);
    } else if (*socket_context != NULL) {
        forget(context, *socket_context);
        *socket_context = NULL;
    }
}

/* ---- looking ---- */

/* With the shard's lock held. `reason` REASON_NONE: nobody's fault. */
static void send_away(struct watch *watch, enum reason reason)
{
    uint64_t word = watch->seen;
    if (!atomic_compare_exchange_strong(&watch->word, &word, next_word(word, PACE_GONE))) {
        return; /* it made progress just now */
    }
    if (reason == REASON_SLOW_HEAD || reason == REASON_SLOW_BODY) {
        char text[256];
        int len = snprintf(text, sizeof text,
                           "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
                           "X-Portico-Reason: %s\r\nContent-Length: 0\r\n\r\n",
                           reason_code(reason));
        /* libmicrohttpd has sent nothing for this request, nor will it. */
        ssize_t unused = send(watch->fd, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)unused;
    }
    shutdown(watch->fd, SHUT_RDWR); /* which libmicrohttpd notices */
    if (reason != REASON_NONE) {
        stats_refusal(watch->pace->settings.stats, reason);
        log_limited(&slow_limit, LOG_LEVEL_INFO, "a peer was too slow",
                    LOG_TEXT("reason", reason_code(reason)));
    }
}

/* What came from the peer, or what of ours it took; and whether no more will come, all that came
 * having been read. */
static uint64_t bytes_moved(const struct watch *watch, enum pace_phase phase, bool *has_ended)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    int unread = 0;
    memset(&info, 0, sizeof info);
    *has_ended = false;
    if (getsockopt(watch->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0) {
        return 0; /* not TCP: counts as standing still */
    }
    *has_ended =
        info.tcpi_state == CLOSE_WAIT && ioctl(watch->fd, SIOCINQ, &unread) == 0 && unread == 0;
    return phase == PACE_ANSWER ? info.tcpi_bytes_acked : info.tcpi_bytes_received;
}

/* libmicrohttpd 0.9.75 overlooks an end that came together with the last bytes. At the second look:
 * it may be about to see it. True: it was sent after the peer. */
static bool end_with_peer(struct watch *watch, bool has_ended)
{
    bool is_overlooked = has_ended && watch->has_ended;
    watch->has_ended = has_ended;
    if (is_overlooked) {
        send_away(watch, REASON_NONE);
    }
    return is_overlooked;
}

static void look_at_idle(struct watch *watch, usec_t now)
{
    usec_t timeout = watch->pace->settings.head_timeout;
    if (watch->has_begun) {
        if (now - watch->window >= timeout) {
            send_away(watch, REASON_SLOW_HEAD);
        }
        return;
    }
    usec_t age = (now - watch->seen_at) / USEC_PER_SEC;
    watch->pace->ages[age < AGES ? age : AGES - 1]++;
    if (now - watch->looked >= (timeout / 4 < HEAD_LOOK ? timeout / 4 : HEAD_LOOK)) {
        bool has_ended;
        watch->looked = now;
        watch->has_begun = bytes_moved(watch, PACE_IDLE, &has_ended) > watch->bytes;
        watch->window = now;
        end_with_peer(watch, has_ended);
    }
}

static void look_at_rate(struct watch *watch, enum pace_phase phase, usec_t now)
{
    const struct pace_settings *settings = &watch->pace->settings;
    usec_t time = now - watch->window;
    bool has_ended;
    uint64_t bytes = bytes_moved(watch, phase, &has_ended);
    if ((phase == PACE_BODY && end_with_peer(watch, has_ended)) || time < settings->head_timeout ||
        settings->min_rate == 0) {
        return;
    }
    if (bytes - watch->bytes < settings->min_rate * (uint64_t)time / USEC_PER_SEC) {
        send_away(watch, phase == PACE_BODY ? REASON_SLOW_BODY : REASON_SLOW_READER);
    }
    watch->bytes = bytes;
    watch->window = now;
}

static void look(struct watch *watch, usec_t now)
{
    uint64_t word = atomic_load(&watch->word);
    enum pace_phase phase = phase_of(word);
    if (word != watch->seen) {
        watch->seen = word;
        watch->seen_at = watch->window = watch->looked = now;
        watch->has_begun = watch->has_ended = false;
        if (phase != PACE_WORK && phase != PACE_GONE) {
            bool unused;
            watch->bytes = bytes_moved(watch, phase, &unused);
        }
    } else if (phase == PACE_IDLE) {
        look_at_idle(watch, now);
    } else if (phase == PACE_BODY || phase == PACE_ANSWER) {
        look_at_rate(watch, phase, now);
    }
}

static void look_at_all(struct pace *pace)
{
    memset(pace->ages, 0, sizeof pace->ages);
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &pace->shards[i];
        usec_t now = clock_monotonic(&clock_system);
        pthread_mutex_lock(&shard->lock);
        for (struct watch *watch = watches_first(&shard->watches); watch != NULL;
             watch = watches_next(&shard->watches, watch)) {
            look(watch, now);
        }
        pthread_mutex_unlock(&shard->lock);
    }
}

/* ---- making room ---- */

/* How long one must have been idle, that about `wanted` are. */
static usec_t idle_time_of(const struct pace *pace, unsigned wanted)
{
    unsigned found = 0;
    int age = AGES;
    while (age > 0 && found < wanted) {
        found += pace->ages[--age];
    }
    usec_t time = age * USEC_PER_SEC;
    return time < AGE_MIN ? AGE_MIN : time;
}

static void make_room(struct pace *pace)
{
    uint64_t limit = pace->settings.connection_limit;
    unsigned count = atomic_load(&pace->count);
    if (count < limit * FULL_PERCENT / 100) {
        return;
    }
    unsigned surplus = count - (unsigned)(limit * ROOMY_PERCENT / 100);
    usec_t now = clock_monotonic(&clock_system);
    usec_t time = idle_time_of(pace, surplus);
    for (unsigned i = 0; i < SHARDS && surplus > 0; i++) {
        struct shard *shard = &pace->shards[i];
        pthread_mutex_lock(&shard->lock);
        for (struct watch *watch = watches_first(&shard->watches); watch != NULL && surplus > 0;
             watch = watches_next(&shard->watches, watch)) {
            if (phase_of(watch->seen) == PACE_IDLE && now - watch->seen_at >= time) {
                send_away(watch, REASON_NONE);
                stats_add(pace->settings.stats, STAT_EVICTED, 1);
                surplus--;
            }
        }
        pthread_mutex_unlock(&shard->lock);
    }
}

/* ---- the thread ---- */

/* False: it is time to end. */
static bool rest(struct pace *pace)
{
    usec_t quarter = pace->settings.head_timeout / 4;
    usec_t until = clock_monotonic(&clock_system) + (quarter < PERIOD ? quarter : PERIOD);
    struct timespec time = {until / USEC_PER_SEC, until % USEC_PER_SEC * 1000};
    int r = 0;
    pthread_mutex_lock(&pace->lock);
    while (!pace->is_ending && r == 0) {
        r = pthread_cond_timedwait(&pace->wake, &pace->lock, &time);
    }
    bool goes_on = !pace->is_ending;
    pthread_mutex_unlock(&pace->lock);
    return goes_on;
}

static void *run(void *context)
{
    struct pace *pace = context;
    while (rest(pace)) {
        look_at_all(pace);
        make_room(pace);
    }
    return NULL;
}

static void release(struct pace *pace)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        pthread_mutex_destroy(&pace->shards[i].lock);
    }
    pthread_mutex_destroy(&pace->lock);
    pthread_cond_destroy(&pace->wake);
    free(pace);
}

int pace_start(const struct pace_settings *settings, struct pace **pace, struct error *error)
{
    struct pace *made = calloc(1, sizeof *made);
    pthread_condattr_t attributes;
    if (made == NULL) {
        return error_set(error, -ENOMEM, "no memory");
    }
    made->settings = *settings;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    for (unsigned i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&made->shards[i].lock, NULL);
        watches_init(&made->shards[i].watches);
    }
    int r = -pthread_create(&made->thread, NULL, run, made);
    if (r < 0) {
        release(made);
        return error_set_errno(error, r, "cannot start a thread");
    }
    *pace = made;
    return 0;
}

void pace_stop(struct pace *pace)
{
    if (pace == NULL) {
        return;
    }
    pthread_mutex_lock(&pace->lock);
    pace->is_ending = true;
    pthread_cond_signal(&pace->wake);
    pthread_mutex_unlock(&pace->lock);
    pthread_join(pace->thread, NULL);
    release(pace);
}
