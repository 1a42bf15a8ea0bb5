/* SPDX-License-Identifier: Apache-2.0 */
/* Every pair of primes is another identity, and files bring back what was written or nothing. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "identities.h"
#include "support/support.h"

enum { COUNT = 15 };

static struct identities *made;
static char *directory;
static char path[512];

static void set_up(void)
{
    CHECK(identities_make(COUNT, 2, &made, NULL) == 0);
    directory = make_temporary_directory();
    snprintf(path, sizeof path, "%s/keys", directory);
}

static void tear_down(void)
{
    identities_free(made);
    remove_temporary_directory(directory);
}

TestSuite(identities, .init = set_up, .fini = tear_down);

Test(identities, few_primes_make_many)
{
    cr_expect_eq(identities_primes(made), 6); /* 6 * 5 / 2 */
    cr_expect_eq(identities_primes_for(1), 2);
    cr_expect_eq(identities_primes_for(1000000), 1415);
}

Test(identities, each_is_another_and_works)
{
    struct client_id ids[COUNT];
    uint8_t encrypted[RSA_BYTES_MAX];
    uint8_t decrypted[RSA_BYTES_MAX];
    for (size_t i = 0; i < COUNT; i++) {
        struct rsa_key *key = NULL;
        cr_assert_eq(identities_key(made, i, &key), 0);
        cr_expect_eq(rsa_key_bytes(key), 256);
        int len = rsa_encrypt(key, STR("secret"), encrypted);
        cr_assert_eq(len, 256);
        cr_expect_eq(rsa_decrypt(key, str_make((char *)encrypted, 256), decrypted), 6);
        cr_assert_eq(identities_client_id(made, i, &ids[i]), 0);
        cr_expect_str_eq(ids[i].text, rsa_key_client_id(key)->text);
        for (size_t k = 0; k < i; k++) {
            cr_expect_str_neq(ids[i].text, ids[k].text);
        }
        rsa_key_free(key);
    }
}

Test(identities, a_file_brings_them_back)
{
    struct identities *opened = NULL;
    struct client_id before;
    struct client_id after;
    struct stat status;
    cr_assert_eq(identities_save(made, path, NULL), 0);
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0600);
    cr_assert_eq(identities_open(path, &opened, NULL), 0);
    cr_expect_eq(identities_count(opened), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        cr_assert_eq(identities_client_id(made, i, &before), 0);
        cr_assert_eq(identities_client_id(opened, i, &after), 0);
        cr_expect_str_eq(before.text, after.text);
    }
    identities_free(opened);
}

Test(identities, a_file_that_is_there_is_not_replaced)
{
    cr_assert_eq(identities_save(made, path, NULL), 0);
    cr_expect_eq(identities_save(made, path, NULL), -EEXIST);
}

/* Any byte that is another one, anywhere. */
Test(identities, a_damaged_file_is_refused)
{
    size_t len;
    cr_assert_eq(identities_save(made, path, NULL), 0);
    char *bytes = read_file(path, &len);
    for (size_t i = 0; i < len; i++) {
        struct identities *opened = NULL;
        if (i >= 16 && i < 24) {
            continue; /* how many there are, checked against the primes below */
        }
        bytes[i] ^= 0x10;
        int fd = open(path, O_WRONLY | O_TRUNC);
        CHECK(write(fd, bytes, len) == (ssize_t)len && close(fd) == 0);
        cr_expect_eq(identities_open(path, &opened, NULL), -EBADMSG, "byte %zu", i);
        bytes[i] ^= 0x10;
    }
    free(bytes);
}

Test(identities, a_file_that_was_cut_is_refused)
{
    struct identities *opened = NULL;
    cr_assert_eq(identities_save(made, path, NULL), 0);
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    for (off_t len = status.st_size - 1; len > 0; len -= 97) {
        cr_assert_eq(truncate(path, len), 0);
        cr_expect_eq(identities_open(path, &opened, NULL), -EBADMSG);
    }
    cr_assert_eq(truncate(path, 0), 0);
    cr_expect_eq(identities_open(path, &opened, NULL), -EBADMSG);
}

Test(identities, more_than_the_pairs_is_refused)
{
    size_t len;
    struct identities *opened = NULL;
    cr_assert_eq(identities_save(made, path, NULL), 0);
    char *bytes = read_file(path, &len);
    bytes[16] = COUNT + 1;
    int fd = open(path, O_WRONLY | O_TRUNC);
    CHECK(write(fd, bytes, len) == (ssize_t)len && close(fd) == 0);
    cr_expect_eq(identities_open(path, &opened, NULL), -EBADMSG);
    free(bytes);
}
