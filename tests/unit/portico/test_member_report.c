/* SPDX-License-Identifier: Apache-2.0 */
#include "member_report.h"

#include <criterion/criterion.h>

#define REPORT                                                                              \
    "[{\"member\":\"localhost:8080\",\"health\":\"up\",\"in_flight\":3,\"requests\":9},"    \
    "{\"member\":\"[::1]:8081\",\"health\":\"drained\",\"in_flight\":0,\"requests\":8080}," \
    "{\"member\":\"other:8080\",\"health\":\"up\",\"in_flight\":4}]\n\n"

static struct member_report report;

Test(member_report, members_at_one_port_are_summed)
{
    cr_assert(member_report_read(STR(REPORT), 8080, &report));
    cr_expect(report.is_up);
    cr_expect_eq(report.in_flight, 7);
}

Test(member_report, only_up_is_up)
{
    cr_assert(member_report_read(STR(REPORT), 8081, &report));
    cr_expect_not(report.is_up);
    cr_expect_eq(report.in_flight, 0);
}

Test(member_report, an_unknown_port_is_told)
{
    cr_expect_not(member_report_read(STR(REPORT), 80, &report));
    cr_expect_not(member_report_read(STR(REPORT), 808, &report));
}

Test(member_report, what_is_no_report_is_told)
{
    cr_expect_not(member_report_read(STR(""), 8080, &report));
    cr_expect_not(member_report_read(STR("error: no such command\n\n"), 8080, &report));
    cr_expect_not(member_report_read(STR("[{\"member\":\"localhost:8080\"}]"), 8080, &report));
}
