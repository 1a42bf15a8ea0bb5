/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of portico check against machines that are made up: files below another root, another
 * clock, another user. */
#include "check.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "net/socket.h"
#include "runner.h"
#include "support/certificates.h"
#include "support/support.h"

static struct check_scene scene;
static struct check_report report;
static struct config *config;
static char file[512];
static char root[512];

/* ---- The scene ---- */

static int keeps_time(struct timex *state)
{
    state->status = 0;
    return TIME_OK;
}

static int is_lost(struct timex *state)
{
    state->status = STA_UNSYNC;
    return TIME_ERROR;
}

static void load(const char *const *parameters, size_t count)
{
    const char *files[] = {file};
    const struct config_request request = {
        .program = PROGRAM_PORTICO,
        .files = files,
        .file_count = 1,
        .parameters = parameters,
        .parameter_count = count,
    };
    struct problems *problems = problems_new(10);
    config_unref(config);
    cr_assert_eq(config_load(&request, problems, &config), 0);
    problems_free(problems);
    check_scene_init(&scene, config);
    scene.root = root;
    scene.adjust = keeps_time;
}

#define LOAD(...)                            \
    load((const char *const[]){__VA_ARGS__}, \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* PATH below the root, with its directories. */
static void put(const char *path, const char *content)
{
    char full[1024];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        (void)mkdir(full, 0700);
        *slash = '/';
    }
    FILE *out = fopen(full, "we");
    cr_assert_not_null(out, "%s", full);
    fputs(content, out);
    fclose(out);
}

static void set_up(void)
{
    site_set_up();
    snprintf(file, sizeof file, "%s/portico.local.yaml", site.directory);
    snprintf(root, sizeof root, "%s/root", site.directory);
    cr_assert_eq(mkdir(root, 0700), 0);
    RUN run = PORTICO("init", "--directory", site.directory);
    cr_assert_eq(run.status, 0, "%s", run.err);
    check_report_init(&report);
    LOAD("Frontend.threads=1");
}

static void tear_down(void)
{
    check_report_done(&report);
    config_unref(config);
    site_tear_down();
}

TestSuite(site_check, .init = set_up, .fini = tear_down);

/* ---- What is expected ---- */

static char *printed(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    check_report_print(&report, true, out);
    fclose(out);
    return text;
}

static void expect(enum finding finding, const char *message, const char *mend)
{
    for (const struct check_item *item = report.first; item != NULL; item = item->next) {
        if (item->finding == finding && strstr(item->message, message) != NULL &&
            strstr(item->mend, mend) != NULL) {
            return;
        }
    }
    char *text = printed();
    cr_expect(false, "no finding %d \"%s\", mend \"%s\" among\n%s", finding, message, mend, text);
    free(text);
}

static void expect_fine(void)
{
    char *text = printed();
    cr_expect_eq(report.counts[FINDING_PROBLEM] + report.counts[FINDING_WARNING], 0, "%s", text);
    cr_expect_gt(report.counts[FINDING_OK], 0);
    free(text);
}

/* ---- The report ---- */

Test(site_check, the_worst_is_told_first)
{
    check_report_tell(&report, FINDING_OK, "one", "fine");
    check_report_tell(&report, FINDING_WARNING, "two", "so so");
    check_report_why(&report, "it matters");
    check_report_mend(&report, "do this");
    check_report_tell(&report, FINDING_PROBLEM, "three", "bad");
    check_report_tell(&report, FINDING_UNSEEN, "four", "hidden");
    char *text = printed();
    const char *bad = strstr(text, "problem  three");
    const char *so = strstr(text, "warning  two");
    const char *hidden = strstr(text, "unseen   four");
    const char *fine = strstr(text, "ok       one");
    cr_expect(bad != NULL && bad < so && so < hidden && hidden < fine, "%s", text);
    cr_expect_not_null(strstr(text, "why: it matters\n"), "%s", text);
    cr_expect_not_null(strstr(text, "mend: do this\n"), "%s", text);
    cr_expect_not_null(strstr(text, "1 problem, 1 warning, 1 not looked at; 1 thing is fine."),
                       "%s", text);
    cr_expect_eq(check_report_status(&report), 1);
    free(text);
}

/* ---- Looking apart ---- */

static void look_for_ever(struct check_report *relay, const struct check_scene *unused)
{
    (void)unused;
    check_report_tell(relay, FINDING_OK, "disk", "the first of two");
    pause();
}

static void look_and_die(struct check_report *relay, const struct check_scene *unused)
{
    (void)relay;
    (void)unused;
    _exit(3);
}

Test(site_check, what_never_answers_is_left)
{
    usec_t before = clock_monotonic(&clock_system);
    check_apart(&report, &scene, "disk", look_for_ever, false, USEC_PER_SEC / 2);
    cr_expect_lt(clock_monotonic(&clock_system) - before, 30 * USEC_PER_SEC);
    expect(FINDING_OK, "the first of two", "");
    expect(FINDING_UNSEEN, "not looked at in full: no answer", "");
}

Test(site_check, a_look_that_fails_is_told)
{
    check_apart(&report, &scene, "disk", look_and_die, false, 30 * USEC_PER_SEC);
    expect(FINDING_UNSEEN, "has failed", "");
}

/* ---- The kernel ---- */

static void put_good_kernel(void)
{
    put("/proc/sys/net/core/somaxconn", "4096\n");
    put("/proc/sys/net/ipv4/tcp_max_syn_backlog", "1024\n");
    put("/proc/sys/net/ipv4/tcp_syncookies", "1\n");
    put("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n");
    put("/proc/sys/net/ipv4/ip_local_reserved_ports", "\n");
}

Test(site_check, a_good_kernel_is_fine)
{
    put_good_kernel();
    check_kernel(&report, &scene);
    expect_fine();
}

Test(site_check, low_limits_of_the_kernel_are_found)
{
    put_good_kernel();
    put("/proc/sys/net/core/somaxconn", "128\n");
    put("/proc/sys/net/ipv4/tcp_max_syn_backlog", "256\n");
    put("/proc/sys/net/ipv4/tcp_syncookies", "0\n");
    put("/proc/sys/net/ipv4/ip_local_port_range", "60000 60099\n");
    put("/proc/sys/net/netfilter/nf_conntrack_max", "1000\n");
    put("/proc/sys/net/netfilter/nf_conntrack_count", "990\n");
    check_kernel(&report, &scene);
    expect(FINDING_WARNING, "net.core.somaxconn is 128; 4096", "sysctl -w net.core.somaxconn=4096");
    expect(FINDING_WARNING, "tcp_max_syn_backlog is 256", "sysctl -w");
    expect(FINDING_WARNING, "ip_local_port_range has 100 ports", "sysctl -w");
    expect(FINDING_PROBLEM, "nf_conntrack_max is 1000, 990", "nf_conntrack_max=200000");
}

Test(site_check, ports_for_outgoing_connections_are_found)
{
    LOAD("Frontend.bind_port=40000", "Frontend.port_max=40009");
    put_good_kernel();
    check_kernel(&report, &scene);
    expect(FINDING_WARNING, "40000-40009, are among", "ip_local_reserved_ports=40000-40009");
    check_report_done(&report);
    put("/proc/sys/net/ipv4/ip_local_reserved_ports", "80,40000-40100\n");
    check_kernel(&report, &scene);
    expect_fine();
}

Test(site_check, a_kernel_that_hides_is_not_taken_for_fine)
{
    check_kernel(&report, &scene);
    expect(FINDING_UNSEEN, "net.core.somaxconn: not visible here", "");
}

/* ---- Open files ---- */

Test(site_check, units_give_the_limit_of_open_files)
{
    put("/usr/lib/systemd/system/portico-frontend@.service", "[Service]\nLimitNOFILE=65536\n");
    put("/usr/lib/systemd/system/portico-balancer.service", "[Service]\nLimitNOFILE=1048576\n");
    put("/proc/sys/fs/file-max", "9223372036854775807\n");
    put("/proc/sys/fs/nr_open", "1048576\n");
    check_open_files(&report, &scene);
    expect(FINDING_OK, "portico-frontend@.service allows 65536", "");
    expect(FINDING_OK, "portico-balancer.service allows 1048576", "");
    expect_fine();
}

Test(site_check, a_drop_in_changes_the_unit)
{
    put("/usr/lib/systemd/system/portico-frontend@.service", "[Service]\nLimitNOFILE=65536\n");
    put("/etc/systemd/system/portico-frontend@.service.d/10.conf", "[Service]\nLimitNOFILE=1024\n");
    put("/etc/systemd/system/portico-frontend@.service.d/20.conf",
        "[Service]\nLimitNOFILE=2000:4000\n");
    put("/run/systemd/system/portico-frontend@.service.d/15.conf", "[Service]\nLimitNOFILE=1\n");
    check_open_files(&report, &scene);
    expect(FINDING_PROBLEM,
           "needs 10064 (10000 connections + 64 besides), portico-frontend@.service allows 4000",
           "systemctl edit portico-frontend@.service");
}

Test(site_check, a_unit_without_a_limit_has_that_of_systemd)
{
    put("/usr/lib/systemd/system/portico-balancer.service", "[Service]\nUser=portico\n");
    put("/etc/systemd/system.conf", "[Manager]\n#DefaultLimitNOFILE=5\nDefaultLimitNOFILE=5000\n");
    check_open_files(&report, &scene);
    expect(FINDING_WARNING, "portico-balancer.service allows 5000", "LimitNOFILE=");
}

Test(site_check, logins_give_the_limit_where_there_is_no_unit)
{
    scene.is_root = true;
    scene.service = (struct owner){4711, 4711};
    snprintf(scene.user, sizeof scene.user, "fleet");
    put("/etc/security/limits.conf", "# * hard nofile 7\n* hard nofile 9\nfleet - nofile 3000\n");
    put("/etc/security/limits.d/x.conf", "* hard nofile 11\nfleet soft nofile 12\n");
    check_open_files(&report, &scene);
    expect(FINDING_PROBLEM, "limits.conf allows 3000", "ulimit -Hn 10064");
}

Test(site_check, the_machine_has_to_have_files_for_all)
{
    put("/proc/sys/fs/file-max", "20000\n");
    put("/proc/sys/fs/nr_open", "1024\n");
    check_open_files(&report, &scene);
    expect(FINDING_WARNING, "fs.file-max is 20000", "sysctl -w fs.file-max=");
    expect(FINDING_WARNING, "fs.nr_open is 1024", "sysctl -w fs.nr_open=");
}

/* ---- A process ---- */

Test(site_check, a_process_with_few_files_and_an_old_program_is_found)
{
    char link[1024];
    put("/proc/77/limits",
        "Limit                     Soft Limit           Hard Limit           Units\n"
        "Max open files            1024                 4096                 files\n");
    snprintf(link, sizeof link, "%s/proc/77/exe", root);
    cr_assert_eq(symlink("/usr/sbin/portico-frontend (deleted)", link), 0);
    check_process(&report, &scene, 77, "portico-frontend", 10064);
    expect(FINDING_WARNING, "(process 77) runs with 1024, and needs 10064", "LimitNOFILE=");
    expect(FINDING_WARNING, "(process 77) runs a program that was replaced", "restart");
}

Test(site_check, a_process_that_is_hidden_is_not_taken_for_fine)
{
    check_process(&report, &scene, 78, "portico-frontend", 10064);
    expect(FINDING_UNSEEN, "needs root", "");
}

/* ---- The clock ---- */

Test(site_check, a_clock_that_is_kept_right_is_fine)
{
    check_clock(&report, &scene);
    expect_fine();
}

Test(site_check, a_clock_that_nobody_keeps_right_is_found)
{
    scene.adjust = is_lost;
    check_clock(&report, &scene);
    expect(FINDING_WARNING, "nothing keeps the clock right", "timedatectl");
}

Test(site_check, a_clock_that_lost_its_battery_is_found)
{
    struct clock_fake fake;
    clock_fake_init(&fake, 1, 0);
    scene.clock = &fake.clock;
    check_clock(&report, &scene);
    expect(FINDING_PROBLEM, "1970-01-01", "timedatectl");
}

Test(site_check, agents_that_agree_on_another_time_are_found)
{
    site_open_store();
    for (unsigned i = 1; i <= 3; i++) {
        usec_t now = clock_wall(&clock_system);
        struct store_commit commit = {
            .bundle = &(struct store_bundle){
                .agent = site_agent(i, STORE_ENROLLED),
                /* One of them is wrong by years, and does not count. */
                .sighting = {.at = now, .clock = now + (i == 1 ? 9000 : 1) * USEC_PER_HOUR}}};
        cr_assert_eq(store_commit(site.store, &commit, 1, STORE_DURABLE, NULL), 0);
        cr_assert_eq(commit.result, 0);
    }
    site_close_store();
    check_store(&report, &scene);
    expect(FINDING_WARNING,
           "half of the 3 agents seen within the last hour are 60 min or more "
           "ahead of",
           "date -u");
}

/* ---- Certificates and keys ---- */

static void look_in_days(int days)
{
    struct clock_fake fake;
    clock_fake_init(&fake, 1, clock_wall(&clock_system) + days * USEC_PER_DAY);
    scene.clock = &fake.clock;
    check_keys(&report, &scene);
}

Test(site_check, a_certificate_that_ends_soon_is_found)
{
    look_in_days(3640);
    expect(FINDING_WARNING, "Frontend.certificate expires in 9 days", "same key");
}

Test(site_check, a_certificate_that_has_ended_is_found)
{
    look_in_days(3660);
    expect(FINDING_PROBLEM, "Frontend.certificate expired on", "same key");
    expect(FINDING_PROBLEM, "CA.certificate expired on", "same key");
}

Test(site_check, a_certificate_of_the_future_is_found)
{
    look_in_days(-10);
    expect(FINDING_PROBLEM, "is valid from", "timedatectl");
}

static void load_tls(const char *pem, const char *key)
{
    char *text = NULL;
    char parameter[600];
    int len = asprintf(&text, "%s%s", pem, key);
    cr_assert_gt(len, 0);
    char *path = write_file(site.directory, "tls.pem", str_make(text, (size_t)len));
    snprintf(parameter, sizeof parameter, "Balancer.tls_certificates=%s", path);
    LOAD(parameter);
    cr_assert_eq(chmod(path, 0640), 0);
    free(path);
    free(text);
}

Test(site_check, certificates_for_tls_are_looked_at)
{
    const struct certificate_wish wish = {.common_name = "front.test"};
    const struct certificate_wish past = {.common_name = "old.test", .starts_in_days = -40};
    struct certificate *certificate = certificate_new(&wish);
    struct certificate *other = certificate_new(&past);
    load_tls(certificate_pem(certificate), certificate_key_pem(certificate));
    check_tls(&report, &scene);
    expect(FINDING_WARNING, "tls.pem expires in 29 days", "");
    load_tls(certificate_pem(other), certificate_key_pem(certificate));
    check_tls(&report, &scene);
    expect(FINDING_PROBLEM, "tls.pem expired on", "");
    expect(FINDING_PROBLEM, "the key is not that of the certificate", "pair");
    check_key_files(&report, &scene);
    expect(FINDING_PROBLEM, "tls.pem has mode 0640", "chmod 600 ");
    load_tls(certificate_pem(other), "");
    check_tls(&report, &scene);
    expect(FINDING_PROBLEM, "tls.pem has no private key", "");
    certificate_free(certificate);
    certificate_free(other);
}

Test(site_check, a_key_that_is_not_of_who_serves_is_found)
{
    scene.service = (struct owner){4711, 4711};
    snprintf(scene.user, sizeof scene.user, "fleet");
    check_key_files(&report, &scene);
    expect(FINDING_PROBLEM, "and not to fleet who serves", "chown fleet: ");
}

/* ---- Directories ---- */

/* As who serves nothing may be written there. */
static void forbid(const char *path)
{
    cr_assert_eq(chmod(path, 0500), 0);
    if (geteuid() == 0) {
        scene.service = (struct owner){65534, 65534};
        snprintf(scene.user, sizeof scene.user, "nobody");
        cr_assert_eq(chmod(site.directory, 0755), 0);
        cr_assert_eq(chmod(path, 0555), 0);
    }
}

Test(site_check, directories_that_may_not_be_written_are_found)
{
    char run[600];
    snprintf(run, sizeof run, "%s/run", site.directory);
    forbid(run);
    forbid(site.location);
    check_apart(&report, &scene, "sockets", check_runtime, true, 30 * USEC_PER_SEC);
    expect(FINDING_PROBLEM, "run may not be written by user ", "chown ");
    check_apart(&report, &scene, "disk", check_disk, true, 30 * USEC_PER_SEC);
    expect(FINDING_PROBLEM, "nothing can be made in ", "chown -R ");
    cr_assert_eq(chmod(run, 0700), 0);
    cr_assert_eq(chmod(site.location, 0700), 0);
}

Test(site_check, a_small_disk_in_memory_is_found)
{
    /* A view of our own, so that it ends with the test. */
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", site.location, "tmpfs", 0, "size=1m") < 0) {
        SKIP_TEST("mounting takes root");
    }
    check_disk(&report, &scene);
    expect(FINDING_WARNING, "in memory only", "Datastore.location");
    expect(FINDING_PROBLEM, "1 MiB and ", "larger disk");
    cr_assert_eq(umount2(site.location, MNT_DETACH), 0);
}

/* ---- Members ---- */

struct server {
    int fd;
    uint16_t port;
    const char *answer; /* to one question; NULL: none */
    pthread_t thread;
};

static void *serve(void *context)
{
    const struct server *server = context;
    char question[512];
    int peer = accept(server->fd, NULL, NULL);
    if (peer >= 0 && read(peer, question, sizeof question) > 0 && server->answer != NULL) {
        (void)!write(peer, server->answer, strlen(server->answer));
    }
    if (server->answer == NULL) {
        (void)!read(peer, question, sizeof question); /* until it is given up */
    }
    close(peer);
    return NULL;
}

static void serve_once(struct server *server, const char *answer)
{
    struct address address;
    struct listen_options options = {.backlog = 1};
    cr_assert_eq(address_from_host(STR("127.0.0.1"), 0, &address, NULL), 0);
    server->fd = socket_listen(&address, &options, NULL);
    cr_assert_geq(server->fd, 0);
    cr_assert_eq(socket_local_address(server->fd, &address), 0);
    int flags = fcntl(server->fd, F_GETFL);
    cr_assert_eq(fcntl(server->fd, F_SETFL, flags & ~O_NONBLOCK), 0);
    server->port = address_port(&address);
    server->answer = answer;
    cr_assert_eq(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void end_server(struct server *server)
{
    pthread_join(server->thread, NULL);
    close(server->fd);
}

Test(site_check, members_are_asked_how_they_are)
{
    struct server good;
    struct server bad;
    struct server mute;
    struct server gone;
    char hosts[256];
    serve_once(&good, "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\nok");
    serve_once(&bad, "HTTP/1.1 503 Service Unavailable\r\n\r\n");
    serve_once(&mute, NULL);
    serve_once(&gone, "HTTP/1.1 200 OK\r\n\r\n");
    int fd = -1;
    struct address address;
    cr_assert_eq(address_from_host(STR("127.0.0.1"), gone.port, &address, NULL), 0);
    fd = socket_connect(&address, NULL, NULL);
    cr_assert_geq(fd, 0);
    sleep_for(USEC_PER_MSEC);
    (void)!write(fd, "x", 1);
    end_server(&gone);
    close(fd);
    snprintf(hosts, sizeof hosts,
             "Balancer.hosts=127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u", good.port,
             bad.port, mute.port, gone.port);
    LOAD(hosts);
    check_members(&report, &scene);
    snprintf(hosts, sizeof hosts, "127.0.0.1:%u answers 503", bad.port);
    expect(FINDING_PROBLEM, hosts, "journalctl -u portico-frontend@");
    snprintf(hosts, sizeof hosts, "127.0.0.1:%u cannot be reached, or gives no answer", mute.port);
    expect(FINDING_PROBLEM, hosts, "journalctl");
    expect(FINDING_OK, "1 of 4 answer health checks", "");
    snprintf(hosts, sizeof hosts, "nobody listens at 127.0.0.1:%u", gone.port);
    expect(FINDING_OK, hosts, "");
    expect(FINDING_WARNING, "s behind ours", "timedatectl");
    end_server(&good);
    end_server(&bad);
    end_server(&mute);
}

Test(site_check, names_that_are_no_hosts_are_found)
{
    LOAD("Balancer.hosts=no-such-host.invalid");
    check_members(&report, &scene);
    expect(FINDING_PROBLEM, "no-such-host.invalid cannot be found", "getent hosts");
}

Test(site_check, an_admin_socket_for_everybody_is_found)
{
    char path[600];
    struct address address;
    snprintf(path, sizeof path, "%s/run/balancer.sock", site.directory);
    cr_assert_eq(address_from_path(str_from(path), &address, NULL), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, &address.any, address.len), 0);
    cr_assert_eq(chmod(path, 0666), 0);
    check_admin(&report, &scene);
    expect(FINDING_PROBLEM, "mode 0666: everybody may use it", "chmod 660 ");
    expect(FINDING_OK, "nobody listens on", "");
    close(fd);
}
