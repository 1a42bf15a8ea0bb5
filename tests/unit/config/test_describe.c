/* SPDX-License-Identifier: Apache-2.0 */
#include "config/describe.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static char *written(void (*write)(FILE *out))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    write(out);
    fclose(out);
    return text;
}

static void write_help(FILE *out)
{
    describe_help(out, PROGRAM_PORTICO, NULL);
}

static void write_balancer_section(FILE *out)
{
    describe_help(out, PROGRAM_BALANCER, "Frontend");
}

Test(describe, every_form_names_every_option)
{
    void (*const forms[])(FILE *) = {write_help, describe_schema, describe_mdoc, describe_markdown};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        char *text = written(forms[i]);
        for (size_t j = 0; j < option_count(); j++) {
            cr_expect_not_null(strstr(text, option_at(j)->key), "%s in form %zu", option_at(j)->key,
                               i);
        }
        free(text);
    }
}

Test(describe, help_tells_type_range_unit_default_and_meaning)
{
    char *text = written(write_help);
    cr_expect_not_null(strstr(text, "Frontend.max_queue_size: int, 1 to 9999, default 500\n"));
    cr_expect_not_null(strstr(text, "Balancer.head_timeout: duration, 1ms to 1h, in seconds, "
                                    "default 10s\n"));
    cr_expect_not_null(strstr(text, "Frontend.enrolment: enum open | approve | closed, default "
                                    "open\n"));
    free(text);
}

Test(describe, a_program_is_told_its_own_options_of_one_section)
{
    char *text = written(write_balancer_section);
    cr_expect_not_null(strstr(text, "Frontend.bind_port"));
    cr_expect_null(strstr(text, "Frontend.certificate"));
    cr_expect_null(strstr(text, "Balancer.buffer"));
    free(text);
}
