/* SPDX-License-Identifier: Apache-2.0 */
/* What travels together over TCP: tickets with answers, goodbyes with what was said before them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/address.h"
#include "net/socket.h"
#include "tls_pair.h"

struct meeting {
    struct tls_tickets *tickets;
    struct tls_context *server, *client;
    struct pair pair;
};

static void connect_over_tcp(int fds[2])
{
    struct address address;
    struct error error;
    const struct listen_options options = {.no_delay = true};
    cr_assert_eq(address_from_host(STR("127.0.0.1"), 0, &address, NULL), 0);
    int listener = socket_listen(&address, &options, &error);
    cr_assert_geq(listener, 0, "%s", error.message);
    cr_assert_eq(socket_local_address(listener, &address), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fds[1], &address.any, address.len), 0);
    cr_assert_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    socket_push(fds[1]); /* without delay */
    do {
        fds[0] = socket_accept(listener, NULL);
    } while (fds[0] == -EAGAIN);
    cr_assert_geq(fds[0], 0);
    close(listener);
}

static void await(const struct transport *transport)
{
    struct pollfd poll_for = {.fd = transport->fd, .events = POLLIN};
    cr_assert_eq(poll(&poll_for, 1, 10000), 1);
}

static void finish_handshake(struct transport *transport)
{
    enum io io;
    do {
        await(transport);
        io = transport_handshake(transport);
    } while (io == IO_AGAIN);
    cr_assert_eq(io, IO_OK);
}

/* Past tickets. */
static size_t read_text(struct transport *transport, char *text, size_t size)
{
    size_t count = 0;
    enum io io = transport_read(transport, text, size, &count);
    while (io == IO_AGAIN) {
        await(transport);
        io = transport_read(transport, text, size, &count);
    }
    cr_assert_eq(io, IO_OK);
    return count;
}

/* The client has said all that it has to for the handshake, and the server has heard nothing of the
 * last of it. */
static void meet(struct meeting *meeting)
{
    static struct clock_fake fake;
    int fds[2];
    clock_fake_init(&fake, USEC_PER_DAY, 0);
    connect_over_tcp(fds);
    meeting->tickets = tls_tickets_new(&fake.clock, TLS_TICKETS_PERIOD);
    meeting->server = new_server(meeting->tickets);
    meeting->client = new_client();
    cr_assert_eq(tls_accept(&meeting->pair.server, meeting->server, fds[0]), 0);
    cr_assert_eq(tls_connect(&meeting->pair.client, meeting->client, fds[1], "a.test", NULL), 0);
    cr_assert_eq(transport_handshake(&meeting->pair.client), IO_AGAIN);
    await(&meeting->pair.server);
    cr_assert_eq(transport_handshake(&meeting->pair.server), IO_AGAIN);
    finish_handshake(&meeting->pair.client);
}

static void part(struct meeting *meeting)
{
    pair_done(&meeting->pair);
    tls_context_unref(meeting->client);
    tls_context_unref(meeting->server);
    tls_tickets_unref(meeting->tickets);
}

/* Whether bytes lie at the client's end already. */
static bool has_arrived(const struct meeting *meeting)
{
    char byte;
    return recv(meeting->pair.client.fd, &byte, 1, MSG_PEEK) == 1;
}

TestSuite(tls_packets, .init = make_certificates, .fini = free_certificates);

static void check_ticket(const struct meeting *meeting)
{
    struct tls_session *session = tls_take_session(&meeting->pair.client);
    cr_assert_not_null(session);
    tls_session_free(session);
}

/* Bytes wait for a fifth of a second only, so a busy machine may show them at once. */
enum { ATTEMPTS = 20 };

static bool ticket_waits_for_answer(void)
{
    struct meeting meeting;
    char text[16];
    size_t count;
    meet(&meeting);
    cr_assert_eq(transport_write(&meeting.pair.client, "ask", 3, &count), IO_OK);
    finish_handshake(&meeting.pair.server);
    read_text(&meeting.pair.server, text, sizeof text);
    bool waits = !has_arrived(&meeting);
    cr_assert_eq(transport_write(&meeting.pair.server, "answer", 6, &count), IO_OK);
    cr_assert_eq(read_text(&meeting.pair.client, text, sizeof text), 6);
    check_ticket(&meeting);
    part(&meeting);
    return waits;
}

Test(tls_packets, take_a_ticket_along_with_the_answer)
{
    bool waits = false;
    for (int i = 0; i < ATTEMPTS && !waits; i++) {
        waits = ticket_waits_for_answer();
    }
    cr_assert(waits);
}

static bool ticket_comes_at_once(void)
{
    struct meeting meeting;
    char byte;
    size_t count;
    meet(&meeting);
    finish_handshake(&meeting.pair.server);
    cr_assert_eq(transport_read(&meeting.pair.server, &byte, 1, &count), IO_AGAIN);
    struct pollfd client = {.fd = meeting.pair.client.fd, .events = POLLIN};
    bool comes = poll(&client, 1, 100) == 1;
    await(&meeting.pair.client);
    cr_assert_eq(transport_read(&meeting.pair.client, &byte, 1, &count), IO_AGAIN);
    check_ticket(&meeting);
    part(&meeting);
    return comes;
}

Test(tls_packets, bring_a_ticket_at_once_to_who_does_not_ask)
{
    bool comes = false;
    for (int i = 0; i < ATTEMPTS && !comes; i++) {
        comes = ticket_comes_at_once();
    }
    cr_assert(comes);
}

static bool last_bytes_wait_for_goodbye(void)
{
    struct meeting meeting;
    char text[16];
    size_t count;
    meet(&meeting);
    finish_handshake(&meeting.pair.server);
    meeting.pair.server.ends = true;
    cr_assert_eq(transport_write(&meeting.pair.server, "last", 4, &count), IO_OK);
    meeting.pair.server.ends = false;
    bool waits = !has_arrived(&meeting);
    cr_assert_eq(transport_shutdown(&meeting.pair.server), IO_OK);
    cr_assert_eq(read_text(&meeting.pair.client, text, sizeof text), 4);
    enum io io;
    while ((io = transport_read(&meeting.pair.client, text, sizeof text, &count)) == IO_AGAIN) {
        await(&meeting.pair.client);
    }
    cr_assert_eq(io, IO_EOF);
    part(&meeting);
    return waits;
}

Test(tls_packets, carry_the_last_bytes_and_the_goodbye_together)
{
    bool waits = false;
    for (int i = 0; i < ATTEMPTS && !waits; i++) {
        waits = last_bytes_wait_for_goodbye();
    }
    cr_assert(waits);
}
