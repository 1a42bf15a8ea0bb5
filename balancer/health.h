/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a member may get requests: three axes that know nothing of each other, and the one
 * function that combines them. Plain values; any thread. */
#ifndef PORTICO_BALANCER_HEALTH_H
#define PORTICO_BALANCER_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

/* What probes, and refused connections, say of the port. */
enum presence {
    PRESENCE_ABSENT, /* nobody listens: normal for a port of the range, no error; also before the
                      * first probe */
    PRESENCE_DOWN,   /* somebody listens and does not answer as a healthy instance does */
    PRESENCE_UP,
};

/* What the administrator wants. */
enum wish {
    WISH_ENABLED,
    WISH_DRAINED,  /* finishes what it has, gets nothing new */
    WISH_DISABLED, /* the same, and is not probed either; its idle connections are closed */
};

struct health {
    enum presence presence;
    bool is_ejected; /* too many of its answers failed, in a row */
    enum wish wish;
};

enum usability {
    UNUSABLE,
    LAST_RESORT, /* down or ejected, but there: only when no member is USABLE, since a doubtful one
                  * is better than none; so the last member is never taken out */
    USABLE,
};

enum usability health_usability(struct health health);

/* What the axes come to for people: the one that decides. */
enum health_state {
    HEALTH_UP,
    HEALTH_DOWN,
    HEALTH_ABSENT,
    HEALTH_EJECTED,
    HEALTH_DRAINED,
    HEALTH_DISABLED,
    HEALTH_WORDS, /* how many they are */
};
enum health_state health_state(struct health health);

/* "up", "down", "absent", "ejected", "drained", "disabled". Constants. */
const char *health_state_word(enum health_state state);
const char *health_word(struct health health);

/* To and from the number in which a member keeps it. */
uint32_t health_pack(struct health health);
struct health health_unpack(uint32_t packed);

/* Probes in a row that agree before the presence changes between up and down. A refused connection
 * needs no second: the port is absent at once. */
struct probe_history {
    uint8_t good, bad; /* in a row; one of them is 0 */
};

enum probe_result {
    PROBE_GOOD,
    PROBE_BAD,       /* connected, but an answer of 5xx, none in time, or garbage */
    PROBE_REFUSED,   /* nobody listens */
    PROBE_UNREACHED, /* no connection in time, or no way there: an absent member stays absent, for a
                      * firewall may hide that nobody listens; for others it is a bad one */
    PROBE_UNKNOWN,   /* we could not probe, for lack of descriptors say: nothing changes */
};

/* The presence after one more probe. A member that was absent is up at its first good probe (it has
 * just started and there is nothing to be careful about) and down at its first bad one. `rise` and
 * `fall` are 1 to 255. */
enum presence health_after_probe(enum presence presence, struct probe_history *history,
                                 enum probe_result result, unsigned rise, unsigned fall);

#endif
