/* SPDX-License-Identifier: Apache-2.0 */
#include "json_write.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>

/* What the writer makes of one text, read back by another's parser. */
static json_t *through(struct str text, char **written)
{
    size_t size;
    struct json_writer json;
    FILE *memory = open_memstream(written, &size);
    json_begin(&json, memory);
    json_open(&json, NULL, '[');
    json_put_str(&json, NULL, text);
    json_close(&json, ']');
    fclose(memory);
    return json_loadb(*written, size, JSON_ALLOW_NUL, NULL);
}

static void expect_through(struct str text, struct str expected)
{
    char *written = NULL;
    json_t *array = through(text, &written);
    cr_assert_not_null(array, "%s", written);
    const json_t *string = json_array_get(array, 0);
    cr_expect(str_equal(str_make(json_string_value(string), json_string_length(string)), expected),
              "%s", written);
    json_decref(array);
    free(written);
}

Test(json_write, text_comes_through_as_it_was)
{
    expect_through(STR(""), STR(""));
    expect_through(STR("a \"b\" \\ c/d"), STR("a \"b\" \\ c/d"));
    expect_through(STR("\x1b[31m\n\t\0\x7f"), STR("\x1b[31m\n\t\0\x7f"));
    expect_through(STR("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
                   STR("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"));
    expect_through(STR("\xe2\x80\xae \xc2\x9b"), STR("\xe2\x80\xae \xc2\x9b"));
}

Test(json_write, bytes_that_are_no_text_become_code_points)
{
    expect_through(STR("\xff\xc3"), STR("\xc3\xbf\xc3\x83"));
}

Test(json_write, every_byte_gives_valid_json_without_controls)
{
    for (int byte = 0; byte < 256; byte++) {
        char text[] = {'x', (char)byte};
        char *written = NULL;
        json_t *array = through(str_make(text, 2), &written);
        cr_expect_not_null(array, "byte %d: %s", byte, written);
        for (const char *c = written; *c != '\0'; c++) {
            cr_expect((unsigned char)*c >= 0x20 || *c == '\n');
        }
        json_decref(array);
        free(written);
    }
}

Test(json_write, values_have_their_forms)
{
    char *text = NULL;
    size_t size;
    struct json_writer json;
    FILE *memory = open_memstream(&text, &size);
    json_begin(&json, memory);
    json_open(&json, NULL, '[');
    json_open(&json, NULL, '{');
    json_put_uint(&json, "n", INT64_MAX);
    json_put_time(&json, "t", 5);
    json_put_time(&json, "unknown", 0);
    json_put_bool(&json, "b", true);
    json_put_hex(&json, "h", STR("\x00\xff\x1a"));
    json_put_hex(&json, "empty", STR(""));
    json_put_known(&json, "k", STR(""));
    json_close(&json, '}');
    json_open(&json, NULL, '{');
    json_close(&json, '}');
    json_close(&json, ']');
    fclose(memory);
    cr_expect_str_eq(text, "[\n{\"n\": 9223372036854775807, \"t\": 5, \"unknown\": null, "
                           "\"b\": true, \"h\": \"00ff1a\", \"empty\": \"\", \"k\": null},\n"
                           "{}\n]\n");
    free(text);
}

Test(json_write, an_empty_array_is_short)
{
    char *text = NULL;
    size_t size;
    struct json_writer json;
    FILE *memory = open_memstream(&text, &size);
    json_begin(&json, memory);
    json_open(&json, NULL, '[');
    json_close(&json, ']');
    fclose(memory);
    cr_expect_str_eq(text, "[]\n");
    free(text);
}
