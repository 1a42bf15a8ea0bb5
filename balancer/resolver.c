/* SPDX-License-Identifier: Apache-2.0 */
/* Two halves with a mailbox between them. The loop's half knows hosts and answers and is the
 * control thread's. The thread's half takes a list of names from the mailbox, looks them up without
 * holding anything, and puts the answers back, until the next list or the next time.
 *
 * Nobody waits for getaddrinfo(), not even at the end: the mailbox is counted and the last user
 * frees it. */
#include "resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/log.h"
#include "net/loop.h"

struct batch {      /* names on their way to the thread, or back */
    unsigned round; /* of resolver_set() */
    struct address here;
    size_t count;
    struct lookup items[];
};

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    unsigned refs; /* the resolver, the thread, a task that was posted */
    bool is_stopping;
    struct batch *question; /* of the newest round; stays for the next time */
    struct batch *answer;   /* the newest, NULL: it was taken */
    usec_t interval;
    resolver_lookup *lookup;
    struct loop *loop;
    struct task answered;
    struct resolver *resolver; /* NULL: it was freed. The control thread's */
};

struct resolver {
    struct mailbox *mailbox;
    resolver_function *answer;
    void *context;
    struct host_list hosts;
    unsigned round;
    struct batch *known;   /* the names of `hosts` */
    struct places *places; /* of the last answer */
};

static struct batch *batch_new(size_t count)
{
    struct batch *batch = calloc(1, sizeof *batch + count * sizeof batch->items[0]);
    if (batch != NULL) {
        batch->count = count;
    }
    return batch;
}

static struct batch *batch_copy(const struct batch *batch)
{
    struct batch *copy = batch_new(batch->count);
    if (copy != NULL) {
        memcpy(copy, batch, sizeof *copy + batch->count * sizeof batch->items[0]);
    }
    return copy;
}

/* ---- The mailbox ---- */

/* Under the lock, which it gives up. */
static void leave(struct mailbox *mailbox)
{
    bool is_last = --mailbox->refs == 0;
    pthread_mutex_unlock(&mailbox->lock);
    if (is_last) {
        pthread_cond_destroy(&mailbox->wanted);
        pthread_mutex_destroy(&mailbox->lock);
        free(mailbox->question);
        free(mailbox->answer);
        free(mailbox);
    }
}

/* ---- The thread ---- */

static void ask_system(struct lookup *lookup)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    struct addrinfo *found = NULL;
    lookup->code = getaddrinfo(lookup->name, NULL, &hints, &found);
    if (lookup->code != 0) {
        return;
    }
    for (struct addrinfo *one = found; one != NULL; one = one->ai_next) {
        struct address *address = &lookup->addresses[lookup->count];
        if (lookup->count < HOST_ADDRESSES_MAX &&
            one->ai_addrlen <= sizeof *address - offsetof(struct address, any)) {
            memcpy(&address->any, one->ai_addr, one->ai_addrlen);
            address->len = one->ai_addrlen;
            lookup->count++;
        }
    }
    freeaddrinfo(found);
}

static void look_up(const struct mailbox *mailbox, struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        mailbox->lookup(&batch->items[i]);
        if (batch->items[i].code == 0) {
            lookup_settle(&batch->items[i], &batch->here);
        }
    }
}

static void post_answer(struct mailbox *mailbox, struct batch *answer)
{
    free(mailbox->answer);
    mailbox->answer = answer;
    if (loop_post(mailbox->loop, &mailbox->answered)) {
        mailbox->refs++;
    }
}

/* Sleep until the next time, or for good when there is nothing to ask; less when there is a new
 * question. */
static void sleep_until_wanted(struct mailbox *mailbox, unsigned round)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += mailbox->interval / USEC_PER_SEC;
    int code = 0;
    while (!mailbox->is_stopping && code == 0 &&
           (mailbox->question == NULL || mailbox->question->round == round)) {
        bool is_idle = mailbox->question == NULL || mailbox->question->count == 0;
        code = is_idle ? pthread_cond_wait(&mailbox->wanted, &mailbox->lock)
                       : pthread_cond_timedwait(&mailbox->wanted, &mailbox->lock, &until);
    }
}

static void *run(void *context)
{
    struct mailbox *mailbox = context;
    unsigned round = 0;
    pthread_mutex_lock(&mailbox->lock);
    while (!mailbox->is_stopping) {
        /* Without memory there is no answer, and the last one stays. */
        struct batch *batch = mailbox->question == NULL ? NULL : batch_copy(mailbox->question);
        if (batch != NULL) {
            round = batch->round;
            pthread_mutex_unlock(&mailbox->lock);
            look_up(mailbox, batch);
            pthread_mutex_lock(&mailbox->lock);
            if (mailbox->is_stopping) {
                free(batch);
                break;
            }
            post_answer(mailbox, batch);
        } else if (mailbox->question != NULL) {
            round = mailbox->question->round;
        }
        sleep_until_wanted(mailbox, round);
    }
    leave(mailbox);
    return NULL;
}

/* ---- The loop ---- */

static void tell_places(struct resolver *resolver)
{
    struct places *places =
        places_new(&resolver->hosts, resolver->known->items, resolver->known->count);
    if (places == NULL) {
        return; /* the old places are better than none; the next time, perhaps */
    }
    if (resolver->places != NULL && places_equal(places, resolver->places)) {
        places_free(places);
        return;
    }
    if (places->duplicates > 0) {
        log_warning("members have one address and count once",
                    LOG_TEXT("member", places->duplicate),
                    LOG_UINT("left_out", places->duplicates));
    }
    if (places->excess > 0) {
        log_error("there are too many members", LOG_UINT("most", MEMBERS_MAX),
                  LOG_UINT("left_out", places->excess));
    }
    places_free(resolver->places);
    resolver->places = places;
    resolver->answer(resolver->context, places);
}

/* Take over what is new of a name; say so when it begins to fail, or ceases. */
static void learn(struct lookup *known, const struct lookup *found)
{
    bool has_addresses = found->code == 0 && found->count > 0;
    int code = has_addresses ? 0 : found->code != 0 ? found->code : EAI_NONAME;
    if (code != known->code && code != 0) {
        log_warning("cannot resolve a host", LOG_TEXT("host", known->name),
                    LOG_TEXT("reason", gai_strerror(code)),
                    LOG_UINT("addresses_kept", known->count));
    } else if (code != known->code) {
        log_info("host is resolved again", LOG_TEXT("host", known->name));
    }
    known->code = code;
    if (has_addresses) {
        known->count = found->count;
        memcpy(known->addresses, found->addresses, sizeof known->addresses);
    }
}

static void take_answer(struct task *task)
{
    struct mailbox *mailbox = CONTAINER_OF(task, struct mailbox, answered);
    pthread_mutex_lock(&mailbox->lock);
    struct batch *batch = mailbox->answer;
    mailbox->answer = NULL;
    struct resolver *resolver = mailbox->resolver;
    leave(mailbox);
    if (resolver != NULL && batch != NULL && batch->round == resolver->round) {
        for (size_t i = 0; i < batch->count; i++) {
            learn(&resolver->known->items[i], &batch->items[i]);
        }
        tell_places(resolver);
    }
    free(batch);
}

/* ---- Hosts ---- */

static struct lookup *find_name(struct batch *batch, const char *name)
{
    for (size_t i = 0; batch != NULL && i < batch->count; i++) {
        if (strcmp(batch->items[i].name, name) == 0) {
            return &batch->items[i];
        }
    }
    return NULL;
}

/* The names of `hosts`, each once, with what was known of them. */
static struct batch *collect_names(const struct host_list *hosts, struct batch *known)
{
    struct batch *names = batch_new(hosts->count);
    if (names == NULL) {
        return NULL;
    }
    names->count = 0;
    for (size_t i = 0; i < hosts->count; i++) {
        const struct host *host = &hosts->items[i];
        if (host->address.len > 0 || find_name(names, host->name) != NULL) {
            continue;
        }
        struct lookup *lookup = &names->items[names->count++];
        const struct lookup *old = find_name(known, host->name);
        if (old != NULL) {
            *lookup = *old;
        }
        memcpy(lookup->name, host->name, sizeof lookup->name);
    }
    return names;
}

/* The names without what is known of them. */
static struct batch *make_question(const struct batch *names, const struct address *here)
{
    struct batch *question = batch_new(names->count);
    for (size_t i = 0; question != NULL && i < names->count; i++) {
        memcpy(question->items[i].name, names->items[i].name, sizeof names->items[i].name);
    }
    if (question != NULL) {
        question->here = *here;
    }
    return question;
}

int resolver_set(struct resolver *resolver, struct host_list *hosts)
{
    struct mailbox *mailbox = resolver->mailbox;
    struct batch *names = collect_names(hosts, resolver->known);
    struct batch *question = names == NULL ? NULL : make_question(names, &hosts->here);
    if (question == NULL) {
        free(names);
        return -ENOMEM;
    }
    question->round = ++resolver->round;
    host_list_done(&resolver->hosts);
    resolver->hosts = *hosts;
    *hosts = (struct host_list){0};
    free(resolver->known);
    resolver->known = names;
    pthread_mutex_lock(&mailbox->lock);
    free(mailbox->question);
    mailbox->question = question;
    mailbox->interval = resolver->hosts.interval;
    pthread_cond_signal(&mailbox->wanted);
    pthread_mutex_unlock(&mailbox->lock);
    tell_places(resolver);
    return 0;
}

/* ---- Life ---- */

static struct mailbox *mailbox_new(struct loop *loop, resolver_lookup *lookup)
{
    struct mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (mailbox != NULL) {
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&mailbox->wanted, &attributes);
        pthread_condattr_destroy(&attributes);
        pthread_mutex_init(&mailbox->lock, NULL);
        task_init(&mailbox->answered, take_answer);
        mailbox->loop = loop;
        mailbox->lookup = lookup != NULL ? lookup : ask_system;
        mailbox->refs = 2;
    }
    return mailbox;
}

/* Signals are the control thread's. */
static int start_thread(struct mailbox *mailbox)
{
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = -pthread_create(&thread, NULL, run, mailbox);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0) {
        pthread_detach(thread);
    }
    return code;
}

struct resolver *resolver_new(struct loop *loop, resolver_lookup *lookup, resolver_function *answer,
                              void *context, struct error *error)
{
    struct resolver *resolver = calloc(1, sizeof *resolver);
    struct mailbox *mailbox = mailbox_new(loop, lookup);
    int code = resolver == NULL || mailbox == NULL ? -ENOMEM : 0;
    if (code == 0) {
        mailbox->resolver = resolver;
        resolver->mailbox = mailbox;
        resolver->answer = answer;
        resolver->context = context;
        code = start_thread(mailbox);
    }
    if (code < 0) {
        error_set_errno(error, code, "cannot start the resolver");
        if (mailbox != NULL) {
            mailbox->refs = 1;
            pthread_mutex_lock(&mailbox->lock);
            leave(mailbox);
        }
        free(resolver);
        return NULL;
    }
    return resolver;
}

void resolver_free(struct resolver *resolver)
{
    if (resolver == NULL) {
        return;
    }
    struct mailbox *mailbox = resolver->mailbox;
    pthread_mutex_lock(&mailbox->lock);
    mailbox->is_stopping = true;
    mailbox->resolver = NULL;
    pthread_cond_signal(&mailbox->wanted);
    leave(mailbox);
    host_list_done(&resolver->hosts);
    free(resolver->known);
    places_free(resolver->places);
    free(resolver);
}
