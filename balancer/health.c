/* SPDX-License-Identifier: Apache-2.0 */
/* Three axes and what they come to. */
#include "health.h"

