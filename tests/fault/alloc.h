/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Makes the n-th allocation of the process fail. */
#ifndef FAULT_ALLOC_H
#define FAULT_ALLOC_H

#include <stdbool.h>

/* The @nth allocation from now on (1: the next), on any thread, returns NULL; 0: none does. */
void fault_alloc_arm(unsigned nth);
bool fault_alloc_fired(void);

#endif
