/* SPDX-License-Identifier: Apache-2.0 */
/* portico, the operator's command. One thread. */
#include "program.h"

int main(int argc, char **argv)
{
    return program_run(argc, argv, stdout, stderr);
}
