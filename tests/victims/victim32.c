/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A 32-bit program, which is not of the kind that can be patched and must be left alone. */
#include <unistd.h>

int main(void)
{
        for (;;)
                pause();
}
