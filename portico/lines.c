/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting lines. */
#include "lines.h"

#include "base/check.h"

static void emit(struct lines *lines, line_function *take, void *context)
{
    take(context, str_make(lines->bytes, lines->len));
    lines->len = 0;
}

/* As many bytes of `part` as fit. */
static size_t fill(struct lines *lines, struct str part)
{
    size_t room = sizeof lines->bytes - lines->len;
    size_t count = part.len < room ? part.len : room;
    if (count > 0) {
        memcpy(lines->bytes + lines->len, part.data, count);
    }
    lines->len += count;
    return count;
}

void lines_feed(struct lines *lines, struct str bytes, line_function *take, void *context)
{
    while (bytes.len > 0) {
        size_t end = str_find(bytes, '\n');
        size_t count = fill(lines, str_first(bytes, end));
        bool is_whole = count == end && end < bytes.len;
        bytes = str_skip(bytes, count + is_whole);
        if (is_whole || (lines->len == sizeof lines->bytes && bytes.len > 0)) {
            emit(lines, take, context);
        }
    }
}

void lines_end(struct lines *lines, line_function *take, void *context)
{
    if (lines->len > 0) {
        emit(lines, take, context);
    }
}

void tail_add(struct tail *tail, struct str line)
{
    unsigned slot = tail->count++ % TAIL_LINES;
    line = str_first(line, TAIL_BYTES);
    tail->len[slot] = line.len;
    if (line.len > 0) {
        memcpy(tail->text[slot], line.data, line.len);
    }
}

unsigned tail_count(const struct tail *tail)
{
    return tail->count < TAIL_LINES ? tail->count : TAIL_LINES;
}

struct str tail_at(const struct tail *tail, unsigned index)
{
    CHECK(index < tail_count(tail));
    unsigned slot = (tail->count - tail_count(tail) + index) % TAIL_LINES;
    return str_make(tail->text[slot], tail->len[slot]);
}
