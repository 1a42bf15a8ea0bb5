/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a port of a range, and saying who has one. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/socket.h"
#include "port.h"

static struct address address;
static struct error error;

/* A listener on a port that the kernel chose. */
static int listen_anywhere(uint16_t *port)
{
    cr_assert_eq(address_from_host(STR("127.0.0.1"), 0, &address, NULL), 0);
    int fd = socket_listen(&address, &(struct listen_options){.backlog = 1}, &error);
    cr_assert_geq(fd, 0);
    cr_assert_eq(socket_local_address(fd, &address), 0);
    *port = address_port(&address);
    return fd;
}

Test(port, the_next_one_is_taken_when_the_first_is)
{
    uint16_t taken;
    int holder = listen_anywhere(&taken);
    uint16_t last = taken > UINT16_MAX - 200 ? UINT16_MAX : (uint16_t)(taken + 200);
    int fd = port_take("127.0.0.1", taken, last, &address, &error);
    cr_assert_geq(fd, 0, "%s", error.message);
    cr_expect_gt(address_port(&address), taken);
    cr_expect_leq(address_port(&address), last);
    close(fd);
    close(holder);
}

Test(port, a_taken_one_is_an_error_that_names_it)
{
    uint16_t taken;
    char words[64];
    int holder = listen_anywhere(&taken);
    cr_expect_eq(port_take("127.0.0.1", taken, taken, &address, &error), -EADDRINUSE);
    snprintf(words, sizeof words, "port %u is taken", taken);
    cr_expect_str_eq(error.message, words);
    close(holder);
}

Test(port, an_address_that_is_none_of_ours_is_not_tried_further)
{
    cr_expect_lt(port_take("192.0.2.1", 1, 65535, &address, &error), 0);
    cr_expect_neq(error.message[0], '\0');
    cr_expect_eq(port_take("nonsense", 1, 2, &address, &error), -EINVAL);
}

Test(port, holders_are_named_and_free_ones_are_said_to_be)
{
    uint16_t taken;
    char *text = NULL;
    char holder_line[64], free_line[64];
    size_t size = 0;
    int holder = listen_anywhere(&taken);
    FILE *out = open_memstream(&text, &size);
    cr_assert_not_null(out);
    port_print_holders(taken, taken, out);
    close(holder);
    port_print_holders(taken, taken, out);
    cr_assert_eq(fclose(out), 0);
    snprintf(holder_line, sizeof holder_line, "port %u: process %ld (", taken, (long)getpid());
    snprintf(free_line, sizeof free_line, "port %u: nobody listens", taken);
    cr_expect_not_null(strstr(text, holder_line), "%s", text);
    cr_expect_not_null(strstr(text, free_line), "%s", text);
    free(text);
}
