/* SPDX-License-Identifier: Apache-2.0 */
/* HTTPS clients before the real balancer: versions, resumption, records of any size, and clients
 * that do it wrong. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/certificates.h"
#include "support/http_client.h"
#include "support/support.h"

struct scene {
    struct backends *backends;
    struct balancer_process balancer;
    SSL_CTX *context;
    SSL_SESSION *session; /* of the last connection, owned */
};

static struct scene *current; /* OpenSSL's callback has no other way */

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(current->session);
    current->session = session;
    return 1;
}

static void begin(struct scene *scene, const char *parameter)
{
    const struct certificate_wish wish = {.common_name = "balancer.test",
                                          .names = "DNS:balancer.test"};
    *scene = (struct scene){.backends = backends_new(2, false)};
    current = scene;
    signal(SIGPIPE, SIG_IGN); /* NOLINT(cert-sig*): OpenSSL writes without MSG_NOSIGNAL */
    struct certificate *certificate = certificate_new(&wish);
    balancer_init(&scene->balancer, scene->backends);
    balancer_certify(&scene->balancer, certificate);
    if (parameter != NULL) {
        balancer_set(&scene->balancer, "%s", parameter);
    }
    balancer_start_with(&scene->balancer, 2);
    certificate_free(certificate);
    scene->context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(scene->context, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(scene->context, keep_session);
}

static void end(struct scene *scene)
{
    char *complaints = recorder_complaints(backends_recorder(scene->backends));
    cr_assert_str_eq(complaints, "");
    free(complaints);
    cr_assert(process_is_alive(&scene->balancer.process));
    SSL_SESSION_free(scene->session);
    SSL_CTX_free(scene->context);
    balancer_done(&scene->balancer);
    backends_free(scene->backends);
}

/* NULL: no handshake. */
static SSL *open_tls(struct scene *scene, struct http_client *client, int version)
{
    http_connect(client, scene->balancer.tls_port);
    SSL *ssl = SSL_new(scene->context);
    SSL_set_min_proto_version(ssl, version);
    SSL_set_max_proto_version(ssl, version);
    if (version < TLS1_2_VERSION) {
        SSL_set_cipher_list(ssl, "ALL:@SECLEVEL=0");
    }
    SSL_set_fd(ssl, client->fd);
    if (scene->session != NULL) {
        SSL_set_session(ssl, scene->session);
    }
    if (SSL_connect(ssl) != 1) {
        ERR_clear_error();
        SSL_free(ssl);
        http_close(client);
        return NULL;
    }
    return ssl;
}

static void close_tls(SSL *ssl, struct http_client *client)
{
    SSL_shutdown(ssl);
    SSL_free(ssl);
    http_close(client);
}

/* Reads until `wanted` is there. */
static bool await_text(SSL *ssl, const char *wanted)
{
    char in[8192];
    int len = 0;
    int n;
    while ((n = SSL_read(ssl, in + len, (int)sizeof in - 1 - len)) > 0) {
        len += n;
        in[len] = '\0';
        if (strstr(in, wanted) != NULL) {
            return true;
        }
    }
    return false;
}

static bool get(SSL *ssl, const char *tag)
{
    char request[256];
    char wanted[128];
    int len = snprintf(request, sizeof request,
                       "GET /x HTTP/1.1\r\nHost: balancer.test\r\nX-Tag: %s\r\n\r\n", tag);
    snprintf(wanted, sizeof wanted, "tag=%s bytes=0", tag);
    return SSL_write(ssl, request, len) == len && await_text(ssl, wanted);
}

static void serve(int version, const char *name)
{
    struct scene scene;
    struct http_client client;
    char proto[256];
    begin(&scene, NULL);
    for (unsigned round = 0; round < 3; round++) {
        SSL *ssl = open_tls(&scene, &client, version);
        cr_assert_not_null(ssl, "no handshake");
        cr_assert_str_eq(SSL_get_version(ssl), name);
        cr_assert_eq(SSL_session_reused(ssl), round > 0, "round %u", round);
        cr_assert(get(ssl, "one") && get(ssl, "two"), "no answer");
        close_tls(ssl, &client);
    }
    cr_assert(recorded_field(recorder_at(backends_recorder(scene.backends), 0), "X-Forwarded-Proto",
                             proto));
    cr_assert_str_eq(proto, "https");
    cr_assert_geq(balancer_metric(&scene.balancer, "portico_balancer_tls_resumed_total", NULL), 2);
    end(&scene);
}

Test(balancer_tls, serves_1_2_and_resumes)
{
    serve(TLS1_2_VERSION, "TLSv1.2");
}

Test(balancer_tls, serves_1_3_and_resumes)
{
    serve(TLS1_3_VERSION, "TLSv1.3");
}

/* RULES H01 */
Test(balancer_tls, serves_nothing_older)
{
    struct scene scene;
    struct http_client client;
    begin(&scene, NULL);
    cr_assert_null(open_tls(&scene, &client, TLS1_VERSION));
    cr_assert_null(open_tls(&scene, &client, TLS1_1_VERSION));
    end(&scene);
    begin(&scene, "Balancer.tls_min_version=1.3");
    cr_assert_null(open_tls(&scene, &client, TLS1_2_VERSION));
    end(&scene);
}

Test(balancer_tls, takes_a_request_in_records_of_one_byte)
{
    static const char request[] =
        "POST /control?api=3 HTTP/1.1\r\nHost: a\r\nX-Tag: tiny\r\nContent-Length: 3\r\n\r\nabc";
    struct scene scene;
    struct http_client client;
    begin(&scene, NULL);
    SSL *ssl = open_tls(&scene, &client, TLS1_3_VERSION);
    cr_assert_not_null(ssl);
    for (size_t i = 0; i < sizeof request - 1; i++) {
        cr_assert_eq(SSL_write(ssl, request + i, 1), 1);
    }
    cr_assert(await_text(ssl, "tag=tiny bytes=3"));
    close_tls(ssl, &client);
    end(&scene);
}

/* Several records in one segment: what OpenSSL has read ahead, the loop does not hear of. */
Test(balancer_tls, a_streamed_body_in_records_of_a_few_bytes_does_not_stall)
{
    enum { LARGE = 0x20000, ON = 1, OFF = 0 };
    static char block[LARGE];
    static const char *const records[] = {"5", "\r", "\n", "he", "llo", "\r\n", "0\r\n", "\r\n"};
    struct scene scene;
    struct http_client client;
    const int on = ON;
    const int off = OFF;
    begin(&scene, NULL);
    SSL *ssl = open_tls(&scene, &client, TLS1_3_VERSION);
    cr_assert_not_null(ssl);
    memset(block, 'x', sizeof block);
    const char head[] = "POST /x HTTP/1.1\r\nHost: balancer.test\r\nX-Tag: large\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n20000\r\n";
    cr_assert_eq(SSL_write(ssl, head, sizeof head - 1), sizeof head - 1);
    cr_assert_eq(SSL_write(ssl, block, sizeof block), sizeof block);
    cr_assert_eq(SSL_write(ssl, "\r\n", 2), 2);
    sleep_for(200 * USEC_PER_MSEC); /* so that it is all passed on */
    setsockopt(client.fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    for (size_t i = 0; i < ARRAY_LEN(records); i++) {
        cr_assert_gt(SSL_write(ssl, records[i], (int)strlen(records[i])), 0);
    }
    setsockopt(client.fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
    cr_assert(await_text(ssl, "tag=large bytes=131077"), "no answer");
    close_tls(ssl, &client);
    end(&scene);
}

Test(balancer_tls, large_bodies_pass_both_ways)
{
    enum { UP = 3 << 20, DOWN = 5 << 20, BLOCK = 30000 };
    static char block[BLOCK];
    struct scene scene;
    struct http_client client;
    char head[128];
    begin(&scene, NULL);
    backend_size(backends_at(scene.backends, 0), DOWN);
    backend_size(backends_at(scene.backends, 1), DOWN);
    SSL *ssl = open_tls(&scene, &client, TLS1_3_VERSION);
    cr_assert_not_null(ssl);
    int len = snprintf(head, sizeof head,
                       "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", UP);
    cr_assert_eq(SSL_write(ssl, head, len), len);
    for (int left = UP; left > 0; left -= BLOCK) {
        int n = left < BLOCK ? left : BLOCK;
        cr_assert_eq(SSL_write(ssl, block, n), n);
    }
    long sum = 0;
    int n;
    while (sum < DOWN && (n = SSL_read(ssl, block, sizeof block)) > 0) {
        sum += n;
    }
    cr_assert_geq(sum, DOWN);
    cr_assert_eq(recorder_at(backends_recorder(scene.backends), 0)->body_bytes, UP);
    close_tls(ssl, &client);
    end(&scene);
}

/* RULES H12, H05 */
Test(balancer_tls, lets_go_of_clients_that_do_not_speak_it)
{
    struct scene scene;
    struct http_client client;
    begin(&scene, "Balancer.tls_timeout=300ms");
    http_connect(&client, scene.balancer.tls_port);
    http_send(&client, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    struct str rest = http_rest(&client);
    cr_assert_not_null(rest.data, "it is not closed");
    free((void *)(uintptr_t)rest.data);
    http_close(&client);
    http_connect(&client, scene.balancer.tls_port);
    rest = http_rest(&client);
    cr_assert_not_null(rest.data, "a silent client is kept");
    free((void *)(uintptr_t)rest.data);
    http_close(&client);
    SSL *ssl = open_tls(&scene, &client, TLS1_3_VERSION);
    cr_assert(ssl != NULL && get(ssl, "good"));
    close_tls(ssl, &client);
    end(&scene);
}

/* RULES H11 */
Test(balancer_tls, a_bad_certificate_on_reload_changes_nothing)
{
    struct scene scene;
    struct http_client client;
    begin(&scene, NULL);
    free(write_file(scene.balancer.directory, "tls.pem", STR("no certificate")));
    balancer_signal(&scene.balancer, SIGHUP);
    for (unsigned i = 0; i < 100; i++) {
        if (balancer_metric(&scene.balancer, "portico_balancer_reload_failures_total", NULL) > 0) {
            break;
        }
        sleep_for(20 * USEC_PER_MSEC);
    }
    cr_assert_eq(balancer_metric(&scene.balancer, "portico_balancer_reload_failures_total", NULL),
                 1);
    SSL *ssl = open_tls(&scene, &client, TLS1_3_VERSION);
    cr_assert(ssl != NULL && get(ssl, "still"));
    close_tls(ssl, &client);
    end(&scene);
}
