/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config_yaml.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/support.h"

static struct arena arena;
static struct problems *problems;

static void setup(void)
{
    arena_init(&arena, 4096, 64 << 20);
    problems = problems_new(20);
}

static void teardown(void)
{
    arena_done(&arena);
    problems_free(problems);
}

TestSuite(config_yaml, .init = setup, .fini = teardown);

static int parse(const char *text, const struct node **root)
{
    static struct source source;
    source = (struct source){.name = "t.yaml", .text = str_from(text)};
    *root = NULL;
    return yaml_parse(&source, &arena, problems, root);
}

static const struct node *value_at(const struct node *root, unsigned index)
{
    const struct entry *entry = root->entries;
    while (index-- > 0) {
        entry = entry->next;
    }
    return entry->value;
}

Test(config_yaml, keeps_keys_values_and_places)
{
    const struct node *root;
    cr_assert_eq(parse("a: 1\n\nb:\n  c: 'two'\n  d: [x, y]\n", &root), 0);
    cr_assert(str_equal(root->entries->key, STR("a")));
    cr_assert(value_at(root, 0)->is_plain);
    const struct node *b = value_at(root, 1);
    cr_assert_eq(b->kind, NODE_MAP);
    cr_assert_eq(b->place.line, 4);
    cr_assert(!value_at(b, 0)->is_plain);
    cr_assert_eq(value_at(b, 0)->place.column, 6);
    cr_assert(str_equal(value_at(b, 1)->first->next->text, STR("y")));
    cr_assert_eq(problems_errors(problems), 0);
}

Test(config_yaml, columns_count_characters)
{
    const struct node *root;
    cr_assert_eq(parse("äö: ü\n", &root), 0);
    cr_assert_eq(value_at(root, 0)->place.column, 5);
}

Test(config_yaml, null_is_nothing_tilde_or_the_word)
{
    const struct node *root;
    cr_assert_eq(parse("a:\nb: ~\nc: null\nd: 'null'\ne: ''\n", &root), 0);
    cr_assert(node_is_null(value_at(root, 0)));
    cr_assert(node_is_null(value_at(root, 1)));
    cr_assert(node_is_null(value_at(root, 2)));
    cr_assert(!node_is_null(value_at(root, 3)));
    cr_assert(!node_is_null(value_at(root, 4)));
}

Test(config_yaml, block_scalars_keep_their_lines)
{
    const struct node *root;
    cr_assert_eq(parse("a: |\n  one\n  two\n", &root), 0);
    cr_assert(str_equal(value_at(root, 0)->text, STR("one\ntwo\n")));
}

Test(config_yaml, aliases_stand_for_their_anchor)
{
    const struct node *root;
    cr_assert_eq(parse("a: &x [1, 2]\nb: [*x, 3]\nc: *x\n", &root), 0);
    cr_assert(str_equal(value_at(root, 2)->first->next->text, STR("2")));
    cr_assert(str_equal(value_at(root, 1)->first->next->text, STR("3")));
}

Test(config_yaml, laughs_and_cycles_are_refused)
{
    const struct node *root;
    char text[4096] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
    for (int i = 1; i < 20; i++) {
        sprintf(text + strlen(text), "a%d: &a%d [*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1,
                i - 1);
    }
    cr_assert_eq(parse(text, &root), -EINVAL);
    cr_assert_eq(parse("a: &a {b: *a}\n", &root), -EINVAL);
}

Test(config_yaml, depth_is_bounded)
{
    const struct node *root;
    char text[20100] = "a: ";
    memset(text + 3, '[', 20000);
    cr_assert_eq(parse(text, &root), -EINVAL);
    for (int i = 0; i < 2000; i++) {
        text[2 * i] = '-';
        text[2 * i + 1] = ' ';
    }
    text[4000] = '\0';
    cr_assert_eq(parse(text, &root), -EINVAL);
}

Test(config_yaml, the_number_of_entries_is_bounded)
{
    const struct node *root;
    char *text = malloc(3 * (YAML_NODES_MAX + 10));
    size_t used = (size_t)sprintf(text, "a:\n");
    for (int i = 0; i < YAML_NODES_MAX; i++) {
        used += (size_t)sprintf(text + used, "- \n");
    }
    cr_assert_eq(parse(text, &root), -EINVAL);
    free(text);
}

Test(config_yaml, what_stands_before_a_mistake_is_kept)
{
    const struct node *root;
    cr_assert_eq(parse("a: 1\nb: 2\n]\n", &root), -EINVAL);
    cr_assert_not_null(root);
    cr_assert(str_equal(value_at(root, 0)->text, STR("1")));
}

Test(config_yaml, one_byte_too_far_is_never_read)
{
    static const char *const texts[] = {"a: 'b",     "a: |\n  b", "a: *",  "\xc3",
                                        "a: \"\\x4", "%YAML",     "a: {b", "\xef\xbb\xbf: b"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct guarded guarded = guarded_copy(str_from(texts[i]));
        const struct source source = {.name = "t", .text = {guarded.data, guarded.len}};
        const struct node *root = NULL;
        int code = yaml_parse(&source, &arena, problems, &root);
        cr_expect(code == 0 || code == -EINVAL);
        guarded_free(&guarded);
    }
}
