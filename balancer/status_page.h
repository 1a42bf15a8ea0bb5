/* SPDX-License-Identifier: Apache-2.0 */
/* The page for people at / of the admin listener: one document, made of the files in status/, that
 * needs nothing else and is complete without its script. The control thread. */
#ifndef PORTICO_BALANCER_STATUS_PAGE_H
#define PORTICO_BALANCER_STATUS_PAGE_H

#include <stddef.h>

struct admin_call;

enum { STATUS_PAGE_POLICY_SIZE = 320 };

/* As an admin_begin_function: asks the workers, then writes the page as the answer. */
void status_page_begin(struct admin_call *call);

/* The Content-Security-Policy with which the page works: its own style and script, by their hashes,
 * and nothing else. */
void status_page_policy(char out[STATUS_PAGE_POLICY_SIZE]);

#endif
