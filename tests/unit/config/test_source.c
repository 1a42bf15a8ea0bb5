/* SPDX-License-Identifier: Apache-2.0 */
#include "config/source.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "support/support.h"

static int check(const char *bytes, size_t len, struct place *place)
{
    static struct source source;
    source = (struct source){.text = {bytes, len}};
    return source_check_utf8(&source, place);
}

#define CHECK_UTF8(literal, place) check("" literal, sizeof(literal) - 1, place)

Test(source, utf8_is_checked_strictly)
{
    struct place place;
    cr_expect_eq(CHECK_UTF8("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", &place), 0);
    cr_expect_eq(CHECK_UTF8("\xc0\x80", &place), -EILSEQ);
    cr_expect_eq(CHECK_UTF8("\xe0\x80\x80", &place), -EILSEQ);
    cr_expect_eq(CHECK_UTF8("\xed\xa0\x80", &place), -EILSEQ);
    cr_expect_eq(CHECK_UTF8("\xf4\x90\x80\x80", &place), -EILSEQ);
    cr_expect_eq(CHECK_UTF8("\xf0\x80\x80\x80", &place), -EILSEQ);
    cr_expect_eq(CHECK_UTF8("\xe2\x82", &place), -EILSEQ);
    cr_expect_eq(CHECK_UTF8("a\n\xc3\xa4\xff", &place), -EILSEQ);
    cr_expect_eq(place.line, 2);
    cr_expect_eq(place.column, 2);
}

Test(source, lines_are_found_without_their_ends)
{
    const struct source source = {.text = STR("one\r\ntwo\n\nfour")};
    cr_expect(str_equal(source_line(&source, 1), STR("one")));
    cr_expect(str_equal(source_line(&source, 2), STR("two")));
    cr_expect_eq(source_line(&source, 3).len, 0);
    cr_expect(str_equal(source_line(&source, 4), STR("four")));
    cr_expect_eq(source_line(&source, 5).len, 0);
}

Test(source, paths_are_seen_from_the_file_that_names_them)
{
    struct arena arena;
    arena_init(&arena, 256, 4096);
    cr_expect_str_eq(path_beside(&arena, "/etc/a.yaml", STR("b.yaml")), "/etc/b.yaml");
    cr_expect_str_eq(path_beside(&arena, "a.yaml", STR("b.yaml")), "b.yaml");
    cr_expect_str_eq(path_beside(&arena, "d/a.yaml", STR("../b.yaml")), "d/../b.yaml");
    cr_expect_str_eq(path_beside(&arena, "/etc/a.yaml", STR("/b.yaml")), "/b.yaml");
    cr_expect_str_eq(path_beside(&arena, NULL, STR("b.yaml")), "b.yaml");
    arena_done(&arena);
}

Test(source, files_are_read_up_to_a_limit)
{
    char *directory = make_temporary_directory();
    char *path = write_file(directory, "a", STR("12345"));
    struct buffer bytes;
    struct file_facts facts = {.inode = 0};
    buffer_init(&bytes, 100000);
    cr_expect_eq(config_system_real.read_file(NULL, path, 5, &bytes, &facts), 0);
    cr_expect_eq(buffer_size(&bytes), 5);
    cr_expect_neq(facts.inode, 0);
    cr_expect_eq(config_system_real.read_file(NULL, path, 4, &bytes, &facts), -EFBIG);
    cr_expect_eq(config_system_real.read_file(NULL, directory, 4, &bytes, &facts), -EISDIR);
    cr_expect_eq(config_system_real.read_file(NULL, "/nowhere/x", 4, &bytes, &facts), -ENOENT);
    buffer_done(&bytes);
    free(path);
    remove_temporary_directory(directory);
}
