/* SPDX-License-Identifier: Apache-2.0 */
/* Starts that fail half-way: they say why, end with status 1, and leave nothing (sanitizers tell).
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/certificates.h"
#include "support/http_client.h"
#include "support/support.h"

struct scene {
    struct backends *backends;
    struct balancer_process balancer;
};

static void begin(struct scene *scene)
{
    *scene = (struct scene){.backends = backends_new(1, false)};
    balancer_init(&scene->balancer, scene->backends);
}

static void end(struct scene *scene)
{
    balancer_done(&scene->balancer);
    backends_free(scene->backends);
}

/* Somebody else's, who shares it with nobody. */
static int take_port(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
              listen(fd, 1) == 0);
    return fd;
}

static void assert_refuses(struct scene *scene, const char *words)
{
    cr_assert_eq(balancer_try_start(&scene->balancer), 1);
    char *log = balancer_log(&scene->balancer);
    cr_assert_not_null(strstr(log, words), "not %s: %s", words, log);
    cr_assert_null(strstr(log, "Sanitizer"), "%s", log);
    free(log);
}

Test(balancer_start, fails_when_its_port_is_taken)
{
    struct scene scene;
    uint16_t port = free_port();
    begin(&scene);
    balancer_set(&scene.balancer, "Balancer.bind_port=%u", port);
    int fd = take_port(port);
    assert_refuses(&scene, "cannot listen on 127.0.0.1:");
    close(fd);
    end(&scene);
}

Test(balancer_start, fails_when_another_balancer_has_its_port)
{
    struct scene scene;
    struct scene other;
    begin(&other);
    balancer_start(&other.balancer);
    begin(&scene);
    balancer_set(&scene.balancer, "Balancer.bind_port=%u", other.balancer.port);
    assert_refuses(&scene, "cannot listen on 127.0.0.1:");
    end(&scene);
    end(&other);
}

/* When other ports are listened on already. */
Test(balancer_start, fails_when_its_tls_port_is_taken)
{
    struct scene scene;
    const struct certificate_wish wish = {.common_name = "balancer.test"};
    struct certificate *certificate = certificate_new(&wish);
    begin(&scene);
    balancer_certify(&scene.balancer, certificate);
    int fd = take_port(scene.balancer.tls_port);
    assert_refuses(&scene, "cannot listen on 127.0.0.1:");
    close(fd);
    certificate_free(certificate);
    end(&scene);
}

Test(balancer_start, fails_when_its_admin_port_is_taken)
{
    struct scene scene;
    begin(&scene);
    int fd = take_port(scene.balancer.admin_port);
    assert_refuses(&scene, "cannot listen on 127.0.0.1:");
    close(fd);
    end(&scene);
}

Test(balancer_start, fails_when_its_certificate_is_none)
{
    struct scene scene;
    begin(&scene);
    char *pem = write_file(scene.balancer.directory, "bad.pem", STR("no certificate"));
    balancer_set(&scene.balancer, "Balancer.tls_bind_port=%u", free_port());
    balancer_set(&scene.balancer, "Balancer.tls_certificates=%s", pem);
    assert_refuses(&scene, "Balancer.tls_certificates");
    free(pem);
    end(&scene);
}

Test(balancer_start, fails_when_its_log_cannot_be_opened)
{
    struct scene scene;
    begin(&scene);
    balancer_set(&scene.balancer, "Balancer.access_log=%s/missing/log", scene.balancer.directory);
    assert_refuses(&scene, "missing/log");
    end(&scene);
}

/* At each step that takes a descriptor. */
Test(balancer_start, fails_cleanly_for_want_of_descriptors, .timeout = 120)
{
    enum { MOST = 44, LEAST = 18 };
    struct scene scene;
    unsigned failed = 0;
    unsigned served = 0;
    begin(&scene);
    for (unsigned limit = MOST; limit >= LEAST; limit -= 2) {
        const struct rlimit few = {.rlim_cur = limit, .rlim_max = limit};
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
        int status = balancer_try_start(&scene.balancer);
        cr_assert(status == 0 || status == 1, "%u descriptors: %d", limit, status);
        failed += status == 1;
        served += status == 0;
        if (status == 0) {
            cr_assert_eq(balancer_stop(&scene.balancer, 20 * USEC_PER_SEC), 0);
        }
    }
    cr_assert_gt(failed, 0, "so few suffice");
    cr_assert_gt(served, 0, "so many do not suffice");
    end(&scene);
}
