/* SPDX-License-Identifier: Apache-2.0 */
/* proc(5), getrlimit(2). Runs on the reader's thread; keeps nothing. */
#include "base/process_metrics.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* The fields of /proc/self/stat that are of use, as they are there. */
struct process_stat {
    unsigned long long user_ticks, system_ticks, start_ticks, virtual_bytes;
    long long resident_pages;
};

static bool read_stat(struct process_stat *stat)
{
    char text[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (file == NULL) {
        return false;
    }
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    /* The name, in parentheses, may hold anything. */
    const char *rest = strrchr(text, ')');
    return rest != NULL &&
           /* NOLINTNEXTLINE(cert-err34-c): the kernel's numbers fit */
           sscanf(rest + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d "
                  "%llu %llu %lld",
                  &stat->user_ticks, &stat->system_ticks, &stat->start_ticks, &stat->virtual_bytes,
                  &stat->resident_pages) == 5;
}

static double ticks_per_second(void)
{
    return (double)sysconf(_SC_CLK_TCK);
}

static double cpu_seconds(void *context)
{
    struct process_stat stat;
    (void)context;
    return read_stat(&stat) ? (double)(stat.user_ticks + stat.system_ticks) / ticks_per_second()
                            : (double)NAN;
}

static double resident_bytes(void *context)
{
    struct process_stat stat;
    (void)context;
    return read_stat(&stat) ? (double)stat.resident_pages * (double)sysconf(_SC_PAGESIZE)
                            : (double)NAN;
}

static double virtual_bytes(void *context)
{
    struct process_stat stat;
    (void)context;
    return read_stat(&stat) ? (double)stat.virtual_bytes : (double)NAN;
}

/* The kernel tells it in ticks since the machine started. */
static double start_time(void *context)
{
    struct process_stat stat;
    struct timespec up;
    (void)context;
    if (!read_stat(&stat) || clock_gettime(CLOCK_BOOTTIME, &up) != 0) {
        return (double)NAN;
    }
    double age = (double)up.tv_sec + (double)up.tv_nsec / 1e9 -
                 (double)stat.start_ticks / ticks_per_second();
    return (double)clock_wall(&clock_system) / (double)USEC_PER_SEC - age;
}

static double open_files(void *context)
{
    double count = 0;
    (void)context;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL) {
        return (double)NAN;
    }
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count - 3; /* ".", "..", and the directory itself */
}

static double most_files(void *context)
{
    struct rlimit limit;
    (void)context;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (double)limit.rlim_cur : (double)NAN;
}

static int define_build(struct metrics *metrics, const char *version)
{
    struct str value = str_from(version);
    struct metric metric;
    int family = metrics_define(metrics, METRIC_GAUGE, "portico_build_info",
                                "1; which build this is.", "version");
    int result = family < 0 ? family : metrics_series(metrics, family, &value, &metric);
    struct metrics_shard *shard = result < 0 ? NULL : metrics_shard_new(metrics);
    if (shard == NULL) {
        return result < 0 ? result : -ENOMEM;
    }
    metrics_set(shard, metric, 1);
    return 0;
}

int process_metrics_define(struct metrics *metrics, const char *version)
{
    static const struct {
        const char *name, *help;
        double (*read)(void *context);
    } gauges[] = {
        {"process_resident_memory_bytes", "Resident memory.", resident_bytes},
        {"process_virtual_memory_bytes", "Virtual memory.", virtual_bytes},
        {"process_start_time_seconds", "Start of the process since the epoch.", start_time},
        {"process_open_fds", "Open file descriptors.", open_files},
        {"process_max_fds", "Most file descriptors that may be open.", most_files},
    };
    int result = define_build(metrics, version);
    for (size_t i = 0; result == 0 && i < ARRAY_LEN(gauges); i++) {
        result =
            metrics_gauge_function(metrics, gauges[i].name, gauges[i].help, gauges[i].read, NULL);
    }
    return result < 0 ? result
                      : metrics_counter_function(metrics, "process_cpu_seconds_total",
                                                 "User and system CPU time.", cpu_seconds, NULL);
}
