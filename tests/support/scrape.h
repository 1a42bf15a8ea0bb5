/* SPDX-License-Identifier: Apache-2.0 */
/* What a running instance tells of itself. */
#ifndef PORTICO_TESTS_SCRAPE_H
#define PORTICO_TESTS_SCRAPE_H

#include <stdint.h>

struct instance;

/* Have the instance listen for scrapers, from its next start on. */
void scrape_enable(struct instance *instance);

/* The value of a series, as it stands in the page ("name" or "name{label=\"value\"}"); aborts when
 * the instance does not answer or has no such series. */
double scrape_value(const struct instance *instance, const char *series);

/* RSA operations so far, private and public ones. */
uint64_t scrape_rsa(const struct instance *instance);

#endif
