/* SPDX-License-Identifier: Apache-2.0 */
/* TLS and plain transports: bytes, names, configuration. */
#include <criterion/criterion.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/socket.h"
#include "support/support.h"
#include "tls_pair.h"

TestSuite(tls, .init = make_certificates, .fini = free_certificates);

Test(tls, carries_bytes_both_ways_one_by_one)
{
    struct tls_context *server = new_server(NULL);
    struct tls_context *client = new_client();
    struct pair pair;
    connect_pair(&pair, server, client, "a.test", NULL);
    cr_assert_str_eq(tls_version(&pair.server), "TLSv1.3");
    cr_assert_str_eq(tls_server_name(&pair.server), "a.test");
    cr_assert(tls_chose_http1(&pair.server) && tls_chose_http1(&pair.client));
    check_transfer(&pair.client, &pair.server, "POST /control HTTP/1.1\r\n", 1);
    check_transfer(&pair.server, &pair.client, "HTTP/1.1 200 OK\r\n", 1);
    check_goodbye(&pair.client, &pair.server);
    check_transfer(&pair.server, &pair.client, "half-closed", 3);
    check_goodbye(&pair.server, &pair.client);
    pair_done(&pair);
    tls_context_unref(client);
    tls_context_unref(server);
}

Test(transport, that_is_plain_acts_the_same)
{
    struct pair pair;
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    transport_init_plain(&pair.server, fds[0]);
    transport_init_plain(&pair.client, fds[1]);
    cr_assert_eq(transport_handshake(&pair.server), IO_OK);
    check_transfer(&pair.client, &pair.server, "POST /control", 1);
    check_goodbye(&pair.client, &pair.server);
    check_transfer(&pair.server, &pair.client, "half-closed", 3);
    transport_close(&pair.client);
    size_t count;
    cr_assert_eq(transport_write(&pair.server, "x", 1, &count), IO_FAIL);
    cr_assert_str_eq(transport_reason(&pair.server), "Broken pipe");
    transport_close(&pair.server);
    transport_close(&pair.server); /* twice is fine */
}

/* Fill the connection until it says again, drain the other end, go on; compare every byte. */
Test(tls, moves_a_megabyte_through_back_pressure)
{
    enum { SIZE = 1 << 20 };
    struct tls_context *server = new_server(NULL);
    struct tls_context *client = new_client();
    struct pair pair;
    connect_pair(&pair, server, client, "a.test", NULL);
    char *sent = malloc(SIZE);
    char *got = malloc(SIZE);
    uint64_t seed = 7;
    for (int i = 0; i < SIZE; i++) {
        sent[i] = (char)next_random(&seed);
    }
    size_t written = 0;
    size_t read = 0;
    while (read < SIZE) {
        size_t count = 0;
        enum io io = IO_OK;
        while (written < SIZE && io == IO_OK) {
            size_t left = SIZE - written;
            size_t first = left < 100 ? left : 100;
            size_t second = left - first < 50000 ? left - first : 50000;
            struct iovec parts[] = {
                {sent + written, first}, {NULL, 0}, {sent + written + first, second}};
            io = transport_writev(&pair.server, parts, 3, &count);
            written += io == IO_OK ? count : 0;
        }
        cr_assert(io == IO_OK || (io == IO_AGAIN && transport_wants(&pair.server) == WATCH_WRITE));
        while (read < SIZE &&
               (io = transport_read(&pair.client, got + read, SIZE - read, &count)) == IO_OK) {
            read += count;
        }
        cr_assert(io == IO_OK || io == IO_AGAIN);
    }
    cr_assert_arr_eq(sent, got, SIZE);
    free(sent);
    free(got);
    pair_done(&pair);
    tls_context_unref(client);
    tls_context_unref(server);
}

Test(tls, knows_of_bytes_that_were_read_ahead)
{
    struct tls_context *server = new_server(NULL);
    struct tls_context *client = new_client();
    struct pair pair;
    char byte;
    size_t count;
    connect_pair(&pair, server, client, "a.test", NULL);
    cr_assert_eq(transport_write(&pair.client, "ab", 2, &count), IO_OK);
    cr_assert_eq(transport_write(&pair.client, "c", 1, &count), IO_OK);
    for (int left = 2; left >= 0; left--) {
        cr_assert_eq(transport_read(&pair.server, &byte, 1, &count), IO_OK);
        cr_assert_eq(transport_has_pending(&pair.server), left > 0);
    }
    pair_done(&pair);
    tls_context_unref(client);
    tls_context_unref(server);
}

/* One byte from one descriptor to the other; false when there was none. */
static bool carry_a_byte(int from, int to)
{
    char byte;
    size_t count;
    return socket_read(from, &byte, 1, &count) == IO_OK &&
           socket_write(to, &byte, 1, &count) == IO_OK;
}

Test(tls, shakes_hands_with_a_peer_whose_bytes_drip_in)
{
    struct tls_context *server = new_server(NULL);
    struct tls_context *client = new_client();
    struct pair pair;
    int near[2];
    int far[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, near), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, far), 0);
    cr_assert_eq(tls_accept(&pair.server, server, near[0]), 0);
    cr_assert_eq(tls_connect(&pair.client, client, far[0], "a.test", NULL), 0);
    enum io server_io = IO_AGAIN;
    enum io client_io = IO_AGAIN;
    bool moved = true;
    while (moved) {
        client_io = transport_handshake(&pair.client);
        server_io = transport_handshake(&pair.server);
        cr_assert(client_io != IO_FAIL && server_io != IO_FAIL);
        moved = carry_a_byte(far[1], near[1]);
        moved = carry_a_byte(near[1], far[1]) || moved;
    }
    cr_assert(client_io == IO_OK && server_io == IO_OK);
    pair_done(&pair);
    close(near[1]);
    close(far[1]);
    tls_context_unref(client);
    tls_context_unref(server);
}

/* ---- Names ---- */

static void check_name(const char *name, bool trusted)
{
    struct tls_context *server = new_server(NULL);
    struct tls_context *client = new_client();
    struct pair pair;
    enum io server_io;
    enum io client_io;
    pair_init(&pair, server, client, name, NULL);
    shake_hands(&pair, &server_io, &client_io);
    cr_assert_eq(client_io == IO_OK, trusted, "%s: %s", name, transport_reason(&pair.client));
    if (!trusted) {
        cr_assert_not_null(strstr(transport_reason(&pair.client), "mismatch"), "%s",
                           transport_reason(&pair.client));
    }
    pair_done(&pair);
    tls_context_unref(client);
    tls_context_unref(server);
}

Test(tls, chooses_the_certificate_by_name)
{
    check_name("a.test", true);
    check_name("A.TEST", true);
    check_name("b.test", true); /* by common name */
    check_name("x.wild.test", true);
    check_name("127.0.0.1", true);
}

Test(tls, refuses_a_certificate_for_another_name)
{
    check_name("c.test", false);
    check_name("wild.test", false);
    check_name("x.y.wild.test", false);
    check_name("127.0.0.2", false);
}

Test(tls, refuses_an_unknown_authority)
{
    struct certificate *stranger =
        certificate_new(&(struct certificate_wish){.common_name = "CA2", .is_authority = true});
    struct tls_context *server = new_server(NULL);
    struct tls_context *client = new_client_with(stranger, NULL);
    struct pair pair;
    enum io server_io;
    enum io client_io;
    pair_init(&pair, server, client, "a.test", NULL);
    shake_hands(&pair, &server_io, &client_io);
    cr_assert_eq(client_io, IO_FAIL);
    cr_assert_str_eq(transport_reason(&pair.client), "unable to get local issuer certificate");
    pair_done(&pair);
    tls_context_unref(client);
    tls_context_unref(server);
    certificate_free(stranger);
}

/* ---- Configuration ---- */

static char *directory;

static void check_refused(struct tls_identity identity, const char *expected)
{
    struct error error = {0};
    struct tls_server_options options = {.identities = &identity, .identity_count = 1};
    cr_assert_null(tls_server_context_new(&options, &error));
    cr_assert_str_eq(error.message, expected);
    cr_assert_eq(ERR_peek_error(), 0);
}

static struct tls_pem file_of(const char *name, const char *content)
{
    return (struct tls_pem){.file = write_file(directory, name, str_from(content))};
}

Test(tls, names_the_file_that_cannot_be_used)
{
    char expected[512];
    directory = make_temporary_directory();
    struct certificate *expired =
        certificate_new(&(struct certificate_wish){.common_name = "x", .starts_in_days = -40});
    struct certificate *future =
        certificate_new(&(struct certificate_wish){.common_name = "x", .starts_in_days = 5});
    char *encrypted = certificate_encrypted_key_pem(site);
    struct tls_pem good = file_of("good.pem", certificate_pem(site));
    struct tls_pem good_key = file_of("good.key", certificate_key_pem(site));
    struct tls_pem other_key = file_of("other.key", certificate_key_pem(other));
    struct tls_pem locked_key = file_of("locked.key", encrypted);
    struct tls_pem old = file_of("old.pem", certificate_pem(expired));
    struct tls_pem new = file_of("new.pem", certificate_pem(future));
    struct tls_pem empty = file_of("empty.pem", "");
    struct tls_pem missing = {.file = "/nonexistent/x.pem"};

    snprintf(expected, sizeof expected, "private key %s does not belong to certificate %s",
             other_key.file, good.file);
    check_refused((struct tls_identity){good, other_key}, expected);
    snprintf(expected, sizeof expected,
             "private key %s is encrypted; it must be stored without password", locked_key.file);
    check_refused((struct tls_identity){good, locked_key}, expected);
    snprintf(expected, sizeof expected, "certificate %s has expired", old.file);
    check_refused((struct tls_identity){old, text_of(certificate_key_pem(expired))}, expected);
    snprintf(expected, sizeof expected, "certificate %s is not valid yet", new.file);
    check_refused((struct tls_identity){new, text_of(certificate_key_pem(future))}, expected);
    snprintf(expected, sizeof expected, "certificate %s: there is no PEM certificate in it",
             empty.file);
    check_refused((struct tls_identity){empty, good_key}, expected);
    snprintf(expected, sizeof expected, "private key %s: there is no usable PEM key in it",
             good.file);
    check_refused((struct tls_identity){good, good}, expected);
    check_refused((struct tls_identity){missing, good_key},
                  "cannot read certificate /nonexistent/x.pem: No such file or directory");
    check_refused((struct tls_identity){good, {0}}, "no private key is given");

    struct tls_identity fine = {good, good_key};
    struct tls_server_options options = {.identities = &fine, .identity_count = 1};
    struct tls_context *context = tls_server_context_new(&options, NULL);
    cr_assert_not_null(context);
    tls_context_unref(context);

    const char *files[] = {good.file, good_key.file, other_key.file, locked_key.file,
                           old.file,  new.file,      empty.file};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        free((char *)(uintptr_t)files[i]);
    }
    free(encrypted);
    certificate_free(expired);
    certificate_free(future);
    remove_temporary_directory(directory);
}

Test(tls, takes_certificate_chain_and_key_from_one_text)
{
    char *text = NULL;
    cr_assert_gt(asprintf(&text, "%s%s%s", certificate_key_pem(site), certificate_pem(site),
                          certificate_pem(authority)),
                 0);
    struct tls_identity identity = {text_of(text), text_of(text)};
    struct tls_server_options options = {.identities = &identity, .identity_count = 1};
    struct error error;
    struct tls_context *context = tls_server_context_new(&options, &error);
    cr_assert_not_null(context, "%s", error.message);
    tls_context_unref(context);
    free(text);
}
