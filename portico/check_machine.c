/* SPDX-License-Identifier: Apache-2.0 */
/* portico check: limits and clock of the machine. One thread. */
#include <string.h>
#include <sys/resource.h>
#include <sys/timex.h>

#include "base/clock.h"
#include "check_report.h"
#include "config/config.h"
#include "table.h"

enum {
    FILES_BESIDES = 64, /* store, logs, listeners, event queues */
    /* 2025-01-01: before that there was no such program. */
    EARLIEST_SECONDS = 1735689600,
};

/* Agents' packets carry times, and certificates end before this: 2100-01-01. */
#define LATEST_SECONDS INT64_C(4102444800)

void check_file_limit(struct check_report *report, const struct config *config)
{
    struct rlimit limit;
    unsigned long long needed =
        (unsigned long long)config_int(config, "Frontend.connection_limit") + FILES_BESIDES;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return;
    }
    if (limit.rlim_max < needed) {
        check_report_mend(report,
                          "raise it (ulimit -Hn %llu, LimitNOFILE=%llu of the service), or "
                          "lower Frontend.connection_limit to %llu",
                          needed, needed, (unsigned long long)limit.rlim_max / 2);
        check_report_tell(report, FINDING_ERROR, "open files",
                          "at most %llu are allowed, an instance with "
                          "Frontend.connection_limit connections needs %llu",
                          (unsigned long long)limit.rlim_max, needed);
    } else if (limit.rlim_cur < needed) {
        check_report_mend(report, "ulimit -n %llu, or LimitNOFILE=%llu of the service", needed,
                          needed);
        check_report_tell(report, FINDING_WARNING, "open files",
                          "%llu are allowed until somebody asks for more, an instance with "
                          "Frontend.connection_limit connections needs %llu",
                          (unsigned long long)limit.rlim_cur, needed);
    } else {
        check_report_tell(report, FINDING_OK, "open files", "%llu needed, %llu allowed", needed,
                          (unsigned long long)limit.rlim_cur);
    }
}

/* Containers and many virtual machines are not told, so this is no error. */
static bool is_synchronised(void)
{
    struct timex state = {.modes = 0};
    int r = adjtimex(&state);
    return r >= 0 && r != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

void check_clock(struct check_report *report)
{
    char text[TIME_TEXT_SIZE];
    usec_t now = clock_wall(&clock_system);
    if (now < EARLIEST_SECONDS * USEC_PER_SEC || now > LATEST_SECONDS * USEC_PER_SEC) {
        check_report_mend(report, "timedatectl set-ntp true");
        check_report_tell(report, FINDING_ERROR, "clock", "it is %s, says this machine",
                          time_format(now, text));
    } else if (!is_synchronised()) {
        check_report_mend(report, "timedatectl set-ntp true");
        check_report_tell(report, FINDING_WARNING, "clock",
                          "it is %s, but nothing keeps the clock right", time_format(now, text));
    } else {
        check_report_tell(report, FINDING_OK, "clock", "it is %s", time_format(now, text));
    }
}
