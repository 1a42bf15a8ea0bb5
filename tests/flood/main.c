/* SPDX-License-Identifier: Apache-2.0 */
/* portico-flood. */
#include "program.h"

int main(int argc, char **argv)
{
    return flood_run(argc, argv, stdout, stderr);
}
