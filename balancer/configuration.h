/* SPDX-License-Identifier: Apache-2.0 */
/* What only the balancer can tell about its options: whether members, probes and certificates could
 * be made of them. Any thread. */
#ifndef PORTICO_BALANCER_CONFIGURATION_H
#define PORTICO_BALANCER_CONFIGURATION_H

#include "config/config.h"

/* Try to make all that is made of options, keep none of it, and tell what is wrong at the place of
 * the option. Reads the files of certificates; for program_usage.check. */
void configuration_check(struct config *config, struct problems *problems);

#endif
