/* SPDX-License-Identifier: Apache-2.0 */
/* A line, a write: what several processes write to one pipe or file stays whole. */
#include "run_screen.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buffer.h"
#include "lines.h"

enum { ROOM_MAX = LINES_BYTES_MAX + 256 };

void run_screen_init(struct run_screen *screen, int fd, int name_width)
{
    const char *terminal = getenv("TERM");
    const char *no_colour = getenv("NO_COLOR");
    *screen = (struct run_screen){.fd = fd, .name_width = name_width};
    screen->is_coloured = isatty(fd) && terminal != NULL && strcmp(terminal, "dumb") != 0 &&
                          (no_colour == NULL || no_colour[0] == '\0');
}

/* For a pipe this means room for PIPE_BUF bytes, more than a line of ours. The descriptor itself
 * stays blocking, for others may have it, too. */
static bool has_room(const struct run_screen *screen)
{
    struct pollfd pollfd = {.fd = screen->fd, .events = POLLOUT};
    return poll(&pollfd, 1, 0) > 0 && (pollfd.revents & POLLOUT) != 0;
}

static int print(struct buffer *out, const struct run_screen *screen, unsigned speaker,
                 const char *name, struct str line)
{
    static const unsigned colours[] = {36, 33, 32, 35, 34, 96, 93, 92, 95, 94};
    int code = 0;
    if (screen->is_coloured) {
        code = buffer_printf(out, "\033[%um%-*s |\033[0m ", colours[speaker % ARRAY_LEN(colours)],
                             screen->name_width, name);
    } else {
        code = buffer_printf(out, "%-*s | ", screen->name_width, name);
    }
    code = code < 0 ? code : buffer_append(out, str_first(line, LINES_BYTES_MAX));
    return code < 0 ? code : buffer_append(out, STR("\n"));
}

static bool write_line(const struct run_screen *screen, unsigned speaker, const char *name,
                       struct str line)
{
    struct buffer out;
    bool is_written = false;
    buffer_init(&out, ROOM_MAX);
    if (has_room(screen) && print(&out, screen, speaker, name, line) == 0) {
        struct str text = buffer_view(&out);
        is_written = write(screen->fd, text.data, text.len) == (ssize_t)text.len;
    }
    buffer_done(&out);
    return is_written;
}

void run_screen_line(struct run_screen *screen, unsigned speaker, const char *name, struct str line)
{
    if (screen->left_out > 0) {
        char text[64];
        snprintf(text, sizeof text, "... %llu lines were left out",
                 (unsigned long long)screen->left_out);
        screen->left_out = write_line(screen, speaker, name, str_from(text)) ? 0 : screen->left_out;
    }
    screen->left_out += screen->left_out > 0 || !write_line(screen, speaker, name, line);
}
