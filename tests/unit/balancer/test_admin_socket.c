/* SPDX-License-Identifier: Apache-2.0 */
/* Administrators who send whatever they like, at whatever pace. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin_command.h"
#include "admin_socket.h"
#include "base/buffer.h"
#include "base/log.h"
#include "fake_balancer.h"
#include "net/socket.h"
#include "support/support.h"

static struct balancer *balancer;
static struct clock_fake timepiece; /* the loop's; it stands still */
static struct admin_socket *admin;
static char *directory;
static char path[256];

static void set_up(void)
{
    struct error error;
    static const struct log_settings settings = {
        .fd = STDERR_FILENO, .level = LOG_LEVEL_ERROR, .format = LOG_FORMAT_KEY_VALUE};
    log_configure(&settings);
    clock_fake_init(&timepiece, USEC_PER_SEC, 0);
    balancer = fake_balancer_new(&timepiece.clock);
    directory = make_temporary_directory();
    snprintf(path, sizeof path, "%s/admin.sock", directory);
    admin = admin_socket_new(balancer, path, &error);
    cr_assert_not_null(admin, "%s", error.message);
}

static bool nothing_is_asked(void *context)
{
    (void)context;
    return balancer->asking == 0;
}

static void tear_down(void)
{
    admin_socket_free(admin);
    cr_expect_eq(access(path, F_OK), -1, "the file is left behind");
    cr_expect(fake_balancer_turn(balancer, nothing_is_asked, NULL));
    fake_balancer_free(balancer);
    remove_temporary_directory(directory);
}

TestSuite(admin_socket, .init = set_up, .fini = tear_down, .timeout = 60);

static int begin(void)
{
    struct error error;
    int fd = socket_connect_unix(path, SOCK_STREAM, &error);
    cr_assert_geq(fd, 0, "%s", error.message);
    return fd;
}

static void turn(void)
{
    cr_assert_eq(loop_turn(balancer->loop, USEC_PER_MSEC), 0);
}

/* Send all of it, reading what comes meanwhile when `out` is given. True until the peer ends. */
static bool exchange(int fd, struct str bytes, struct buffer *out)
{
    size_t count;
    while (bytes.len > 0) {
        enum io io = socket_write(fd, bytes.data, bytes.len, &count);
        if (io == IO_FAIL) {
            return false;
        }
        bytes = io == IO_OK ? str_skip(bytes, count) : bytes;
        turn();
        while (out != NULL && buffer_reserve(out, 4096) == 0 &&
               socket_read(fd, buffer_tail(out), buffer_room(out), &count) == IO_OK) {
            buffer_commit(out, count);
        }
    }
    return true;
}

/* All that comes until the server closes. */
static void read_to_end(int fd, struct buffer *out)
{
    usec_t end = clock_monotonic(&clock_system) + 10 * USEC_PER_SEC;
    enum io io = IO_AGAIN;
    while (io != IO_EOF && clock_monotonic(&clock_system) < end) {
        size_t count;
        cr_assert_eq(buffer_reserve(out, 4096), 0);
        io = socket_read(fd, buffer_tail(out), buffer_room(out), &count);
        cr_assert_neq(io, IO_FAIL, "%s", strerror(errno));
        if (io == IO_OK) {
            buffer_commit(out, count);
        } else {
            turn();
        }
    }
    cr_expect_eq(io, IO_EOF, "the server did not close");
}

/* One conversation: send, end, read. */
static char *converse(struct str bytes)
{
    struct buffer out;
    buffer_init(&out, 16 << 20);
    int fd = begin();
    exchange(fd, bytes, &out);
    shutdown(fd, SHUT_WR);
    read_to_end(fd, &out);
    close(fd);
    char *text = str_dup(buffer_view(&out));
    buffer_done(&out);
    return text;
}

static void expect_answer(struct str bytes, const char *first, const char *second)
{
    char *text = converse(bytes);
    cr_expect_not_null(strstr(text, first), "no %s in: %s", first, text);
    cr_expect_not_null(strstr(text, second), "no %s in: %s", second, text);
    free(text);
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part)) {
        count++;
    }
    return count;
}

Test(admin_socket, only_owner_and_group_may_use_it)
{
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0660);
}

Test(admin_socket, an_answer_ends_with_an_empty_line)
{
    char *text = converse(STR("drain 8080\n"));
    cr_expect_str_eq(text, "members_drained    1\n\n");
    free(text);
    text = converse(STR("drain 1\n"));
    cr_expect_str_eq(text, "error: there is no member at 1\n\n");
    free(text);
    text = converse(STR("json drain 8080\n"));
    cr_expect_str_eq(text, "{\"members_drained\":1}\n\n");
    free(text);
}

Test(admin_socket, several_commands_are_answered_in_order)
{
    char *text = converse(STR("drain 8080\nshow members\r\n\n  \nenable 8080\n"));
    const char *drained = strstr(text, "members_drained");
    const char *members = strstr(text, "localhost:8082");
    const char *enabled = strstr(text, "members_enabled");
    cr_assert(drained != NULL && members != NULL && enabled != NULL, "%s", text);
    cr_expect(drained < members && members < enabled);
    cr_expect_eq(count_of(text, "\n\n"), 3);
    free(text);
}

Test(admin_socket, the_last_line_needs_no_end)
{
    expect_answer(STR("show info"), "version", "\n\n");
}

Test(admin_socket, garbage_is_refused_and_the_next_command_works)
{
    expect_answer(STR("\x01\x02\xff\xfe\0\n\x80\nshow info\n"), "no printable ASCII", "version");
    expect_answer(STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "there is no command \"GET /\"",
                  "there is no command \"Host: x\"");
}

Test(admin_socket, random_bytes_do_no_harm)
{
    uint64_t state = 11;
    for (int i = 0; i < 50; i++) {
        char bytes[600];
        for (size_t j = 0; j < sizeof bytes; j++) {
            bytes[j] = (char)next_random(&state);
        }
        char *text = converse(str_make(bytes, sizeof bytes));
        cr_expect_not_null(strstr(text, "error: "));
        free(text);
    }
    expect_answer(STR("show info\n"), "version", "");
}

Test(admin_socket, a_line_without_end_is_refused)
{
    static char bytes[100000];
    memset(bytes, 'a', sizeof bytes);
    struct buffer out;
    buffer_init(&out, 1 << 20);
    int fd = begin();
    exchange(fd, str_make(bytes, sizeof bytes), &out);
    read_to_end(fd, &out);
    cr_expect_eq(buffer_size(&out), strlen("error: the line is longer than 4096 bytes\n\n"));
    buffer_done(&out);
    close(fd);
}

Test(admin_socket, the_longest_line_is_read)
{
    char bytes[ADMIN_LINE_MAX + 1];
    memset(bytes, ' ', sizeof bytes);
    memcpy(bytes + ADMIN_LINE_MAX - 9, "show info\n", 10);
    expect_answer(str_make(bytes, sizeof bytes), "version", "");
}

Test(admin_socket, a_command_may_come_byte_by_byte)
{
    struct str bytes = STR("show info\ndrain 8080\n");
    struct buffer out;
    buffer_init(&out, 1 << 20);
    int fd = begin();
    for (size_t i = 0; i < bytes.len; i++) {
        exchange(fd, str_make(bytes.data + i, 1), &out);
    }
    shutdown(fd, SHUT_WR);
    read_to_end(fd, &out);
    char *text = str_dup(buffer_view(&out));
    cr_expect_not_null(strstr(text, "version"));
    cr_expect_not_null(strstr(text, "members_drained"));
    free(text);
    buffer_done(&out);
    close(fd);
}

static void converse_many(const char *command, size_t count, const char *part, size_t each)
{
    size_t len = strlen(command);
    char *bytes = malloc(len * count);
    for (size_t i = 0; i < count; i++) {
        memcpy(bytes + i * len, command, len);
    }
    char *text = converse(str_make(bytes, len * count));
    cr_expect_eq(count_of(text, part), count * each, "%zu", count_of(text, part));
    free(text);
    free(bytes);
}

Test(admin_socket, a_thousand_pipelined_commands_are_all_answered)
{
    converse_many("drain 8080\n", 1000, "members_drained    1\n\n", 1);
    converse_many("show members\n", 1000, "localhost:8081", 1);
    cr_expect_eq(balancer->questions, 1000);
    converse_many("x\n", 1000, "error: ", 1);
}

/* Nothing is read from who does not read; the loop serves others meanwhile. */
Test(admin_socket, who_does_not_read_is_not_read_from)
{
    static const char command[] = "help\n";
    size_t count;
    size_t sent = 0;
    int fd = begin();
    for (int i = 0; i < 100000; i++) {
        if (socket_write(fd, command, 5, &count) != IO_OK) {
            break;
        }
        sent++;
        if (i % 64 == 0) {
            turn();
        }
    }
    for (int i = 0; i < 50; i++) {
        turn();
    }
    cr_expect_lt(sent, 100000, "it took everything");
    expect_answer(STR("show info\n"), "version", "");
    close(fd);
}

Test(admin_socket, who_leaves_before_the_answer_does_no_harm)
{
    for (int i = 0; i < 20; i++) {
        int fd = begin();
        exchange(fd, STR("show members\nshow errors\n"), NULL);
        close(fd);
        turn();
    }
    cr_expect(fake_balancer_turn(balancer, nothing_is_asked, NULL));
    expect_answer(STR("show info\n"), "version", "");
}

Test(admin_socket, there_is_room_for_so_many_and_then_again)
{
    int fds[ADMIN_SOCKET_CONNECTIONS];
    struct buffer out;
    buffer_init(&out, 1 << 20);
    for (size_t i = 0; i < ADMIN_SOCKET_CONNECTIONS; i++) {
        fds[i] = begin();
        turn();
    }
    int fd = begin();
    read_to_end(fd, &out);
    cr_expect(str_equal(buffer_view(&out), STR("error: there are too many connections\n\n")));
    close(fd);
    buffer_done(&out);
    for (size_t i = 0; i < ADMIN_SOCKET_CONNECTIONS; i++) {
        close(fds[i]);
    }
    turn();
    turn();
    expect_answer(STR("show info\n"), "version", "");
}

Test(admin_socket, it_can_end_while_somebody_waits)
{
    struct error error;
    int fd = begin();
    exchange(fd, STR("show members\n"), NULL);
    admin_socket_free(admin);
    admin = NULL;
    cr_expect(fake_balancer_turn(balancer, nothing_is_asked, NULL));
    close(fd);
    admin = admin_socket_new(balancer, path, &error);
    cr_assert_not_null(admin);
}

Test(admin_socket, a_path_in_use_is_an_error)
{
    struct error error;
    cr_expect_null(admin_socket_new(balancer, path, &error));
    cr_expect_not_null(strstr(error.message, path), "%s", error.message);
}

/* Turns until what was sent has been looked at. */
static void pass(usec_t by)
{
    for (int i = 0; i < 3; i++) {
        turn();
    }
    clock_fake_advance(&timepiece, by);
    for (int i = 0; i < 3; i++) {
        turn();
    }
}

static bool is_open(int fd)
{
    char byte;
    size_t count;
    return socket_read(fd, &byte, 1, &count) == IO_AGAIN;
}

Test(admin_socket, who_says_nothing_is_closed_in_the_end)
{
    int fd = begin();
    pass(4 * USEC_PER_MINUTE);
    cr_expect(is_open(fd));
    pass(2 * USEC_PER_MINUTE);
    cr_expect_not(is_open(fd));
    close(fd);
}

Test(admin_socket, a_line_that_drips_in_has_one_deadline)
{
    int fd = begin();
    for (int i = 0; i < 5; i++) {
        exchange(fd, STR("a"), NULL);
        pass(5 * USEC_PER_SEC);
        cr_expect(is_open(fd), "%d", i);
    }
    exchange(fd, STR("a"), NULL);
    pass(6 * USEC_PER_SEC);
    cr_expect_not(is_open(fd));
    close(fd);
}

Test(admin_socket, who_does_not_take_the_answer_is_closed)
{
    size_t count;
    int fd = begin();
    for (int i = 0; i < 100000 && socket_write(fd, "help\n", 5, &count) == IO_OK; i++) {
        if (i % 16 == 0) {
            turn();
        }
    }
    pass(USEC_PER_SEC);
    cr_expect_neq(socket_write(fd, "help\n", 5, &count), IO_FAIL);
    pass(31 * USEC_PER_SEC);
    cr_expect_eq(socket_write(fd, "help\n", 5, &count), IO_FAIL);
    close(fd);
}
