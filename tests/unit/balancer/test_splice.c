/* SPDX-License-Identifier: Apache-2.0 */
#include "splice.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void make_pair(int ends[2])
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
}

Test(splice, moves_bytes_from_socket_to_socket)
{
    struct pipe_pool pool = {.count = 0};
    struct pipe pipe = {.filled = 0};
    int from[2], to[2];
    char text[16] = "";
    size_t count = 0;
    make_pair(from);
    make_pair(to);
    cr_assert_eq(write(from[0], "hello, world", 12), 12);
    cr_assert_eq(pipe_take(&pool, &pipe), 0);
    cr_assert_eq(pipe_fill(&pipe, from[1], 5, &count), IO_OK);
    cr_assert_eq(count, 5, "no more than was asked for");
    cr_assert(pipe_is_filled(&pipe));
    cr_assert_eq(pipe_drain(&pipe, to[0], false, &count), IO_OK);
    cr_assert_eq(count, 5);
    cr_assert(!pipe_is_filled(&pipe));
    cr_assert_eq(read(to[1], text, sizeof text), 5);
    cr_assert_str_eq(text, "hello");
    pipe_give(&pool, &pipe);
    pipe_pool_done(&pool);
}

Test(splice, tells_nothing_yet_from_the_end)
{
    struct pipe_pool pool = {.count = 0};
    struct pipe pipe = {.filled = 0};
    int from[2];
    size_t count;
    make_pair(from);
    cr_assert_eq(pipe_take(&pool, &pipe), 0);
    cr_assert_eq(pipe_fill(&pipe, from[1], 100, &count), IO_AGAIN);
    close(from[0]);
    cr_assert_eq(pipe_fill(&pipe, from[1], 100, &count), IO_EOF);
    pipe_give(&pool, &pipe);
    pipe_pool_done(&pool);
}

Test(splice, keeps_empty_pipes_and_no_others)
{
    struct pipe_pool pool = {.count = 0};
    struct pipe pipe = {.filled = 0};
    int from[2];
    size_t count;
    make_pair(from);
    cr_assert_eq(pipe_take(&pool, &pipe), 0);
    int end = pipe.read_end;
    pipe_give(&pool, &pipe);
    cr_assert_eq(pool.count, 1);
    cr_assert_eq(pipe.write_end, 0);
    cr_assert_eq(pipe_take(&pool, &pipe), 0);
    cr_assert_eq(pipe.read_end, end, "the same one");
    cr_assert_eq(write(from[0], "x", 1), 1);
    cr_assert_eq(pipe_fill(&pipe, from[1], 1, &count), IO_OK);
    pipe_give(&pool, &pipe);
    cr_assert_eq(pool.count, 0, "its bytes belong to somebody else");
    cr_assert_eq(fcntl(end, F_GETFD), -1, "closed");
    pipe_give(&pool, &pipe); /* none: nothing happens */
    pipe_pool_done(&pool);
}
