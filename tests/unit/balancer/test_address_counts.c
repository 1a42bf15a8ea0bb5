/* SPDX-License-Identifier: Apache-2.0 */
#include "address_counts.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

static struct ip ip_of(uint32_t number)
{
    struct ip ip = {{[10] = 0xff, [11] = 0xff}};
    memcpy(ip.bytes + 12, &number, sizeof number);
    return ip;
}

Test(address_counts, hold_the_limit_of_an_address)
{
    struct address_counts *counts = address_counts_new();
    struct ip ip = ip_of(7);
    struct counted_address counted[3], extra;
    for (size_t i = 0; i < 3; i++) {
        cr_assert(address_counts_enter(counts, &ip, 3, &counted[i]));
    }
    cr_assert(!address_counts_enter(counts, &ip, 3, &extra));
    address_counts_leave(counts, counted[1]);
    cr_assert(address_counts_enter(counts, &ip, 3, &extra));
    address_counts_free(counts);
}

Test(address_counts, are_empty_again_when_all_have_left)
{
    struct address_counts *counts = address_counts_new();
    enum { MANY = 20000 };
    static struct counted_address counted[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        struct ip ip = ip_of(i);
        cr_assert(address_counts_enter(counts, &ip, 1000, &counted[i]));
    }
    for (uint32_t i = 0; i < MANY; i++) {
        address_counts_leave(counts, counted[i]);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        struct ip ip = ip_of(i);
        cr_assert(address_counts_enter(counts, &ip, 1, &counted[i]));
        address_counts_leave(counts, counted[i]);
    }
    address_counts_free(counts);
}

Test(address_counts, rarely_blame_one_for_others)
{
    struct address_counts *counts = address_counts_new();
    struct counted_address counted;
    unsigned blamed = 0;
    /* 10,000 addresses with a connection each: few find both their counters taken. Were there but
     * one row, it would be about 700. */
    for (uint32_t i = 0; i < 10000; i++) {
        struct ip ip = ip_of(i);
        blamed += !address_counts_enter(counts, &ip, 1, &counted);
    }
    cr_assert_lt(blamed, 250, "%u of 10000", blamed);
    address_counts_free(counts);
}

Test(address_counts, do_not_count_what_was_not_counted)
{
    struct address_counts *counts = address_counts_new();
    address_counts_leave(counts, (struct counted_address){.first = 0});
    address_counts_free(counts);
}

static void *come_and_go(void *context)
{
    struct address_counts *counts = context;
    for (uint32_t i = 0; i < 20000; i++) {
        struct ip ip = ip_of(i % 5);
        struct counted_address counted;
        if (address_counts_enter(counts, &ip, 3, &counted)) {
            address_counts_leave(counts, counted);
        }
    }
    return NULL;
}

Test(address_counts, may_be_used_by_several_threads)
{
    struct address_counts *counts = address_counts_new();
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, come_and_go, counts);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    struct ip ip = ip_of(3);
    struct counted_address counted;
    cr_assert(address_counts_enter(counts, &ip, 1, &counted));
    address_counts_free(counts);
}
