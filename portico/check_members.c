/* SPDX-License-Identifier: Apache-2.0 */
/* portico check: asks every member of the balancer, and the balancer itself, how they are; all of
 * them at once, each for a short time. Runs in a process of its own, since names are looked up. */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "check.h"
#include "config/config.h"

enum {
    MEMBERS_MAX = 4096, /* of a balancer */
    /* A shell gives 1024 descriptors; and all that are silent are to be over in time. */
    MEMBERS_AT_A_TIME = 512,
    NAMES_SHOWN = 3,
};

#define PATIENCE (2 * USEC_PER_SEC)
#define CLOCK_TOLERANCE (5 * USEC_PER_SEC)

struct member {
    struct inquiry *inquiry;
    struct address address;
    usec_t asked, took;
    unsigned status; /* of HTTP; 0: none */
    enum ask_outcome outcome;
};

struct inquiry {
    const struct check_scene *scene;
    struct loop *loop;
    char question[ASK_QUESTION_MAX];
    struct member *members; /* owned */
    size_t count, asked, answered;
    usec_t farthest; /* difference of a member's clock from ours */
    const struct member *strange;
};

/* ---- Who is asked ---- */

static void add_ports(struct inquiry *inquiry, const struct address *address,
                      struct port_range range)
{
    for (unsigned port = range.first; port <= range.last && inquiry->count < MEMBERS_MAX; port++) {
        struct member *member = &inquiry->members[inquiry->count++];
        *member = (struct member){.inquiry = inquiry, .address = *address};
        address_set_port(&member->address, (uint16_t)port);
    }
}

/* Where instances of this machine are reached, as the balancer reaches them. */
static void find_here(const struct check_scene *scene, struct address *address)
{
    const char *bound = config_str(scene->config, "Frontend.bind_address");
    bool is_any = strcmp(bound, "::") == 0 || strcmp(bound, "0.0.0.0") == 0;
    if (address_from_host(str_from(is_any ? "127.0.0.1" : bound), 0, address, NULL) < 0) {
        address->len = 0; /* cannot be: the configuration was checked */
    }
}

static void add_name(struct check_report *report, struct inquiry *inquiry, const char *name,
                     struct port_range range)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(name, NULL, &hints, &found);
    if (code != 0) {
        check_report_why(report, "the balancer has no members there");
        check_report_mend(report, "correct Balancer.hosts, or what resolves names: getent hosts %s",
                          name);
        check_report_tell(report, FINDING_PROBLEM, "members", "%s cannot be found: %s", name,
                          gai_strerror(code));
        return;
    }
    bool has_ipv4 = false;
    for (const struct addrinfo *one = found; one != NULL; one = one->ai_next) {
        has_ipv4 = has_ipv4 || one->ai_family == AF_INET;
    }
    for (const struct addrinfo *one = found; one != NULL; one = one->ai_next) {
        struct address address = {.len = one->ai_addrlen};
        if (one->ai_family == (has_ipv4 ? AF_INET : AF_INET6)) {
            memcpy(&address.any, one->ai_addr, one->ai_addrlen);
            add_ports(inquiry, &address, range);
        }
    }
    freeaddrinfo(found);
}

/* "HOST", "HOST:PORT", "[ADDRESS]:PORT" or an address. */
static void add_host(struct check_report *report, struct inquiry *inquiry, const char *text)
{
    struct port_range range = config_frontend_range(inquiry->scene->config);
    struct address address;
    char name[256];
    if (address_parse(str_from(text), 0, &address, NULL) == 0) {
        uint16_t port = address_port(&address);
        add_ports(inquiry, &address, port == 0 ? range : (struct port_range){port, port});
        return;
    }
    snprintf(name, sizeof name, "%s", text);
    char *colon = strrchr(name, ':');
    uint64_t port = 0;
    if (colon != NULL && str_to_uint64(str_from(colon + 1), &port) == 0 && port <= UINT16_MAX) {
        *colon = '\0';
        range = (struct port_range){(uint16_t)port, (uint16_t)port};
    }
    if (str_equal_nocase(str_from(name), STR("localhost"))) {
        find_here(inquiry->scene, &address);
        add_ports(inquiry, &address, range);
    } else {
        add_name(report, inquiry, name, range);
    }
}

/* ---- Asking ---- */

/* "Date: Sun, 06 Nov 1994 08:49:37 GMT" in an answer's head. */
static void compare_clocks(struct inquiry *inquiry, const struct member *member, struct str answer)
{
    struct str line;
    struct tm parts;
    char text[64];
    while (str_split(&answer, '\n', &line) && str_trim(line).len > 0) {
        if (!str_equal_nocase(str_first(line, 5), STR("Date:"))) {
            continue;
        }
        memset(&parts, 0, sizeof parts);
        snprintf(text, sizeof text, "%.*s", STR_ARG(str_trim(str_skip(line, 5))));
        if (strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &parts) == NULL) {
            return;
        }
        usec_t ahead = (usec_t)timegm(&parts) * USEC_PER_SEC - clock_wall(inquiry->scene->clock);
        if (llabs(ahead) > llabs(inquiry->farthest)) {
            inquiry->farthest = ahead;
            inquiry->strange = member;
        }
        return;
    }
}

static void ask_more(struct inquiry *inquiry);

static void answered(void *context, enum ask_outcome outcome, struct str answer)
{
    struct member *member = context;
    struct inquiry *inquiry = member->inquiry;
    uint64_t status = 0;
    member->outcome = outcome;
    member->took = loop_now(inquiry->loop) - member->asked;
    if (outcome == ASK_ANSWERED && str_starts_with(answer, STR("HTTP/1.")) &&
        str_to_uint64(str_first(str_skip(answer, 9), 3), &status) == 0) {
        member->status = (unsigned)status;
        compare_clocks(inquiry, member, answer);
    }
    inquiry->answered++;
    ask_more(inquiry);
}

static void ask_more(struct inquiry *inquiry)
{
    while (inquiry->asked < inquiry->count &&
           inquiry->asked - inquiry->answered < MEMBERS_AT_A_TIME) {
        struct member *member = &inquiry->members[inquiry->asked++];
        member->asked = loop_now(inquiry->loop);
        if (ask_start(inquiry->loop, &member->address, str_from(inquiry->question), PATIENCE,
                      answered, member) == NULL) {
            member->outcome = ASK_FAILED;
            inquiry->answered++;
        }
    }
    if (inquiry->answered == inquiry->count) {
        loop_stop(inquiry->loop);
    }
}

/* ---- Telling ---- */

/* As the balancer judges: whatever is no server's error will do; empty: being there is enough. */
static bool is_well(const struct member *member)
{
    return member->outcome == ASK_ANSWERED && member->status >= 200 && member->status < 500;
}

static void tell_unwell(struct check_report *report, const struct member *member)
{
    char text[ADDRESS_TEXT_SIZE];
    address_format(&member->address, text);
    check_report_why(report, "the balancer takes it for down");
    check_report_mend(
        report,
        "see whether its machine is reached; then its log: journalctl -u portico-frontend@%u",
        address_port(&member->address));
    if (member->outcome == ASK_ANSWERED && member->status != 0) {
        check_report_tell(report, FINDING_PROBLEM, "members", "%s answers %u to health checks",
                          text, member->status);
    } else {
        check_report_tell(report, FINDING_PROBLEM, "members",
                          "%s cannot be reached, or gives no answer within %lld s", text,
                          (long long)(PATIENCE / USEC_PER_SEC));
    }
}

static size_t list_absent(const struct inquiry *inquiry, char *out, size_t size)
{
    size_t absent = 0;
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < inquiry->count; i++) {
        char text[ADDRESS_TEXT_SIZE];
        if (inquiry->members[i].outcome != ASK_NOBODY) {
            continue;
        }
        address_format(&inquiry->members[i].address, text);
        if (absent < NAMES_SHOWN && len < size) {
            len += (size_t)snprintf(out + len, size - len, "%s%s", absent == 0 ? "" : ", ", text);
        } else if (absent == NAMES_SHOWN && len < size) {
            len += (size_t)snprintf(out + len, size - len, " and so on");
        }
        absent++;
    }
    return absent;
}

static void tell_summary(struct check_report *report, const struct inquiry *inquiry)
{
    char names[3 * ADDRESS_TEXT_SIZE + 32];
    size_t well = 0;
    usec_t slowest = 0;
    for (size_t i = 0; i < inquiry->count; i++) {
        const struct member *member = &inquiry->members[i];
        if (is_well(member)) {
            well++;
            slowest = member->took > slowest ? member->took : slowest;
        } else if (member->outcome != ASK_NOBODY) {
            tell_unwell(report, member);
        }
    }
    size_t absent = list_absent(inquiry, names, sizeof names);
    if (absent == inquiry->count) {
        check_report_tell(report, FINDING_OK, "members", "none of %zu listens: nothing runs yet",
                          inquiry->count);
        return;
    }
    /* A range is mostly larger than what is started, so that is not for a warning. */
    check_report_tell(report, FINDING_OK, "members",
                      "%zu of %zu answer health checks, the slowest after %lld.%lld ms%s%s", well,
                      inquiry->count, (long long)(slowest / USEC_PER_MSEC),
                      (long long)(slowest % USEC_PER_MSEC / 100),
                      absent == 0 ? "" : "; nobody listens at ", names);
}

static void tell_clock(struct check_report *report, const struct inquiry *inquiry)
{
    char text[ADDRESS_TEXT_SIZE];
    if (inquiry->strange == NULL || llabs(inquiry->farthest) <= CLOCK_TOLERANCE) {
        return;
    }
    check_report_why(report, "agents' packets count by their time, here and there");
    check_report_mend(report, "timedatectl set-ntp true, on both machines");
    check_report_tell(report, FINDING_WARNING, "clock", "that of %s is %lld s %s ours",
                      address_format(&inquiry->strange->address, text),
                      (long long)(llabs(inquiry->farthest) / USEC_PER_SEC),
                      inquiry->farthest > 0 ? "ahead of" : "behind");
}

static int ask_all(struct inquiry *inquiry)
{
    const char *path = config_str(inquiry->scene->config, "Balancer.probe_path");
    snprintf(inquiry->question, sizeof inquiry->question,
             "GET %.200s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
             path[0] == '\0' ? "/" : path);
    ask_more(inquiry);
    return inquiry->count == 0 ? 0 : loop_run(inquiry->loop);
}

void check_members(struct check_report *report, const struct check_scene *scene)
{
    struct option_list hosts = config_list(scene->config, "Balancer.hosts");
    struct inquiry inquiry = {.scene = scene};
    struct error error = {.line = 0};
    inquiry.members = calloc(MEMBERS_MAX, sizeof *inquiry.members);
    inquiry.loop = loop_new(&clock_system, &error);
    if (inquiry.members == NULL || inquiry.loop == NULL) {
        check_report_tell(report, FINDING_UNSEEN, "members", "not looked at: %s",
                          inquiry.loop == NULL ? error.message : "out of memory");
    } else {
        for (size_t i = 0; i < hosts.count; i++) {
            add_host(report, &inquiry, hosts.items[i]);
        }
        if (ask_all(&inquiry) == 0 && inquiry.count > 0) {
            tell_summary(report, &inquiry);
            tell_clock(report, &inquiry);
        }
    }
    loop_free(inquiry.loop);
    free(inquiry.members);
}

/* ---- The balancer ---- */

struct interview {
    struct loop *loop;
    enum ask_outcome outcome;
    char version[64];
};

/* "version": "1.2.3" in what show info says as JSON. */
static void heard(void *context, enum ask_outcome outcome, struct str answer)
{
    struct interview *interview = context;
    static const char key[] = "\"version\":";
    interview->outcome = outcome;
    const char *at = answer.len == 0 ? NULL : memmem(answer.data, answer.len, key, sizeof key - 1);
    if (at != NULL) {
        struct str rest = str_skip(answer, (size_t)(at - answer.data) + sizeof key - 1);
        rest = str_skip(rest, str_find(rest, '"') + 1);
        snprintf(interview->version, sizeof interview->version, "%.*s",
                 STR_ARG(str_first(rest, str_find(rest, '"'))));
    }
    loop_stop(interview->loop);
}

static bool ask_balancer(const char *path, struct interview *interview)
{
    struct address address;
    interview->outcome = ASK_FAILED;
    interview->loop = loop_new(&clock_system, NULL);
    bool is_asked =
        interview->loop != NULL && address_from_path(str_from(path), &address, NULL) == 0 &&
        ask_start(interview->loop, &address, STR("json show info\n"), PATIENCE, heard, interview) !=
            NULL &&
        loop_run(interview->loop) == 0;
    loop_free(interview->loop);
    return is_asked;
}

static void tell_interview(struct check_report *report, const char *path,
                           const struct interview *interview)
{
    if (interview->outcome == ASK_NOBODY) {
        check_report_tell(report, FINDING_OK, "balancer", "nobody listens on %s: it does not run",
                          path);
    } else if (interview->outcome == ASK_FAILED || interview->version[0] == '\0') {
        check_report_mend(report, "look into its log: journalctl -u portico-balancer");
        check_report_tell(report, FINDING_PROBLEM, "balancer", "it gives no answer on %s", path);
    } else if (strcmp(interview->version, PORTICO_VERSION) != 0) {
        check_report_mend(report, "systemctl restart portico-balancer");
        check_report_tell(report, FINDING_WARNING, "version",
                          "the balancer runs version %s, installed is %s", interview->version,
                          PORTICO_VERSION);
    } else {
        check_report_tell(report, FINDING_OK, "balancer", "it answers on %s, version %s", path,
                          interview->version);
    }
}

void check_admin(struct check_report *report, const struct check_scene *scene)
{
    const char *path = config_str(scene->config, "Balancer.admin_socket");
    struct interview interview = {.version = ""};
    struct stat status;
    if (stat(path, &status) < 0) {
        bool is_hidden = errno == EACCES;
        check_report_tell(report, is_hidden ? FINDING_UNSEEN : FINDING_OK, "balancer",
                          is_hidden ? "%s: not looked at: needs root"
                                    : "there is no %s yet: it does not run",
                          path);
        return;
    }
    if (!S_ISSOCK(status.st_mode)) {
        check_report_mend(report, "move it away: mv %s %s.old", path, path);
        check_report_tell(report, FINDING_PROBLEM, "balancer", "%s is no socket", path);
        return;
    }
    if ((status.st_mode & 007) != 0) {
        check_report_why(report, "whoever may open it may stop the balancer");
        check_report_mend(report, "chmod 660 %s", path);
        check_report_tell(report, FINDING_PROBLEM, "permissions",
                          "socket %s has mode %04o: everybody may use it", path,
                          status.st_mode & 07777U);
    }
    if (access(path, W_OK) < 0) {
        check_report_tell(report, FINDING_UNSEEN, "balancer", "%s: not looked at: needs root",
                          path);
    } else if (ask_balancer(path, &interview)) {
        tell_interview(report, path, &interview);
    }
}
