/* SPDX-License-Identifier: Apache-2.0 */
/* Names that change, fail and take their time, by a name service of our own. */
#include <criterion/criterion.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>

#include "balancer_config.h"
#include "net/loop.h"
#include "resolver.h"
#include "support/support.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char zone[64]; /* addresses of "name.test"; empty: it cannot be resolved */
static bool is_slow;
static unsigned asked;

static void set_zone(const char *addresses)
{
    pthread_mutex_lock(&lock);
    snprintf(zone, sizeof zone, "%s", addresses);
    pthread_mutex_unlock(&lock);
}

static void look_up(struct lookup *lookup)
{
    pthread_mutex_lock(&lock);
    struct str rest = str_from(zone);
    struct str one;
    bool must_wait = is_slow;
    asked++;
    lookup->code = rest.len == 0 ? EAI_AGAIN : 0;
    while (rest.len > 0 && str_split(&rest, ' ', &one)) {
        cr_assert_eq(address_from_host(one, 0, &lookup->addresses[lookup->count++], NULL), 0);
    }
    pthread_mutex_unlock(&lock);
    if (must_wait) {
        sleep_for(300 * USEC_PER_MSEC);
    }
}

static unsigned times_asked(void)
{
    pthread_mutex_lock(&lock);
    unsigned n = asked;
    pthread_mutex_unlock(&lock);
    return n;
}

static char answer[512];
static unsigned answers;

static void take(void *context, const struct places *places)
{
    (void)context;
    size_t len = 0;
    answer[0] = '\0';
    answers++;
    for (size_t i = 0; i < places->count; i++) {
        char address[ADDRESS_TEXT_SIZE];
        len += snprintf(answer + len, sizeof answer - len, "%s%s", i == 0 ? "" : " ",
                        address_format(&places->items[i].address, address));
    }
}

static struct loop *loop;
static struct resolver *resolver;

static void begin(void)
{
    struct error error = {0};
    loop = loop_new(&clock_system, &error);
    resolver = resolver_new(loop, look_up, take, NULL, &error);
    cr_assert_not_null(resolver, "%s", error.message);
}

static void end(void)
{
    resolver_free(resolver);
    sleep_for(20 * USEC_PER_MSEC); /* for the thread to end; nothing depends on it */
    cr_assert_eq(loop_turn(loop, 0), 0);
    loop_free(loop);
}

static void set(const char *hosts)
{
    struct host_list list;
    struct config *config = hosts_config(hosts, NULL, "80", "80");
    cr_assert_eq(host_list_read(config, &list, NULL), 0);
    list.interval = USEC_PER_SEC;
    cr_assert_eq(resolver_set(resolver, &list), 0);
    cr_assert_eq(list.count, 0);
    config_unref(config);
}

static void wait_for(const char *expected)
{
    usec_t end = clock_monotonic(&clock_system) + 5 * USEC_PER_SEC;
    while (strcmp(answer, expected) != 0) {
        cr_assert_lt(clock_monotonic(&clock_system), end, "still \"%s\"", answer);
        cr_assert_eq(loop_turn(loop, 100 * USEC_PER_MSEC), 0);
    }
}

Test(resolver, answers_at_once_without_names)
{
    begin();
    set("10.0.0.1,localhost");
    cr_assert_str_eq(answer, "10.0.0.1:80 127.0.0.1:80");
    cr_assert_eq(answers, 1);
    cr_assert_eq(loop_turn(loop, 50 * USEC_PER_MSEC), 0);
    cr_assert_eq(times_asked(), 0);
    end();
}

Test(resolver, follows_a_name)
{
    begin();
    set_zone("192.0.2.1");
    set("10.0.0.1,name.test");
    cr_assert_str_eq(answer, "10.0.0.1:80");
    wait_for("10.0.0.1:80 192.0.2.1:80");
    set_zone("192.0.2.2 192.0.2.1");
    wait_for("10.0.0.1:80 192.0.2.1:80 192.0.2.2:80");
    cr_assert_eq(answers, 3);
    end();
}

Test(resolver, tells_nothing_when_nothing_changed)
{
    begin();
    set_zone("192.0.2.1 192.0.2.2");
    set("name.test");
    wait_for("192.0.2.1:80 192.0.2.2:80");
    set_zone("192.0.2.2 192.0.2.1");
    unsigned before = times_asked();
    while (times_asked() < before + 2) {
        cr_assert_eq(loop_turn(loop, 100 * USEC_PER_MSEC), 0);
    }
    cr_assert_eq(answers, 2, "none, then both");
    end();
}

Test(resolver, keeps_the_last_good_answer)
{
    begin();
    set_zone("192.0.2.1");
    set("name.test");
    wait_for("192.0.2.1:80");
    set_zone("");
    unsigned before = times_asked();
    while (times_asked() < before + 2) {
        cr_assert_eq(loop_turn(loop, 100 * USEC_PER_MSEC), 0);
    }
    cr_assert_str_eq(answer, "192.0.2.1:80");
    set("name.test,10.0.0.1");
    cr_assert_str_eq(answer, "192.0.2.1:80 10.0.0.1:80", "known names need no look-up");
    set_zone("192.0.2.7");
    wait_for("192.0.2.7:80 10.0.0.1:80");
    end();
}

Test(resolver, forgets_answers_to_older_questions)
{
    begin();
    set_zone("192.0.2.1");
    is_slow = true;
    set("name.test");
    while (times_asked() == 0) {
        sleep_for(USEC_PER_MSEC);
    }
    set("10.0.0.9");
    cr_assert_str_eq(answer, "10.0.0.9:80");
    sleep_for(400 * USEC_PER_MSEC);
    cr_assert_eq(loop_turn(loop, 0), 0);
    cr_assert_str_eq(answer, "10.0.0.9:80");
    end();
}

Test(resolver, does_not_wait_for_a_slow_name_service_at_its_end)
{
    begin();
    set_zone("192.0.2.1");
    is_slow = true;
    set("name.test");
    while (times_asked() == 0) {
        sleep_for(USEC_PER_MSEC);
    }
    usec_t start = clock_monotonic(&clock_system);
    resolver_free(resolver);
    cr_assert_lt(clock_monotonic(&clock_system) - start, 150 * USEC_PER_MSEC);
    sleep_for(400 * USEC_PER_MSEC);
    cr_assert_eq(loop_turn(loop, 0), 0);
    loop_free(loop);
}

Test(resolver, asks_the_system)
{
    struct error error = {0};
    loop = loop_new(&clock_system, &error);
    resolver = resolver_new(loop, NULL, take, NULL, &error);
    set("localhost.,10.0.0.1");
    /* Whatever the system says of it, the other host stays. */
    cr_assert_eq(loop_turn(loop, USEC_PER_SEC), 0);
    cr_assert_not_null(strstr(answer, "10.0.0.1:80"));
    end();
}
