/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>

#include "html.h"

static struct buffer out;
static struct html html;

static void set_up(void)
{
    buffer_init(&out, 4096);
    html = (struct html){.out = &out};
}

static void tear_down(void)
{
    buffer_done(&out);
}

TestSuite(html, .init = set_up, .fini = tear_down);

static void expect(const char *wanted)
{
    cr_expect_eq(html.failure, 0);
    cr_expect(str_equal(buffer_view(&out), str_from(wanted)), "\"%.*s\" is not \"%s\"",
              STR_ARG(buffer_view(&out)), wanted);
    buffer_clear(&out);
}

Test(html, text_cannot_become_markup)
{
    html_text(&html, STR("<script>alert(\"1\")</script> & 'x'"));
    expect("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;");
    html_text(&html, STR(""));
    expect("");
    html_text(&html, STR("GET /a?b=c Zürich"));
    expect("GET /a?b=c Zürich");
}

Test(html, what_cannot_be_seen_is_shown)
{
    html_text(&html, STR("a\0b\r\n\x1b[2J\x7f"));
    expect("a\\x00b\\x0d\\x0a\\x1b[2J\\x7f");
    html_text(&html, STR("\xff\xc3<\xe2\x80\xae!"));
    expect("\\xff\\xc3&lt;\\xe2\\x80\\xae!");
}

static void expect_number(int64_t number, const char *wanted)
{
    html_number(&html, number);
    expect(wanted);
}

Test(html, numbers_have_their_thousands_apart)
{
    expect_number(0, "0");
    expect_number(999, "999");
    expect_number(1000, "1,000");
    expect_number(-1234567, "-1,234,567");
}

static void expect_rate(double rate, const char *wanted)
{
    html_rate(&html, rate);
    expect(wanted);
}

Test(html, rates_have_a_decimal_while_they_are_small)
{
    expect_rate(0, "0");
    expect_rate(0.01, "&lt; 0.1");
    expect_rate(0.26, "0.3");
    expect_rate(9.96, "10");
    expect_rate(12345.6, "12,346");
}

static void expect_latency(usec_t latency, const char *wanted)
{
    html_latency(&html, latency);
    expect(wanted);
}

Test(html, latencies_have_two_digits_or_three)
{
    expect_latency(0, "0 µs");
    expect_latency(999, "999 µs");
    expect_latency(1230, "1.2 ms");
    expect_latency(12300, "12 ms");
    expect_latency(500 * USEC_PER_MSEC, "500 ms");
    expect_latency(1500 * USEC_PER_MSEC, "1.5 s");
    expect_latency(59 * USEC_PER_SEC, "59 s");
    expect_latency(120 * USEC_PER_SEC, "2 min");
}

static void expect_age(usec_t age, const char *wanted)
{
    html_age(&html, age);
    expect(wanted);
}

Test(html, ages_have_two_units_at_most)
{
    expect_age(-5, "0 s");
    expect_age(59 * USEC_PER_SEC, "59 s");
    expect_age(60 * USEC_PER_SEC, "1 min");
    expect_age(USEC_PER_HOUR, "1 h");
    expect_age(USEC_PER_HOUR + 61 * USEC_PER_SEC, "1 h 1 min");
    expect_age(3 * USEC_PER_DAY + 5 * USEC_PER_HOUR, "3 d 5 h");
}

Test(html, what_does_not_fit_is_remembered)
{
    buffer_done(&out);
    buffer_init(&out, 4);
    html_put(&html, "<p>");
    html_put(&html, "<p>");
    html_put(&html, "<");
    cr_expect_eq(html.failure, -ENOBUFS);
    cr_expect(str_equal(buffer_view(&out), STR("<p>")), "nothing follows a gap");
}
