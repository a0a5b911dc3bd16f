/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the commands that make metadata for tests share. */
#ifndef PD_TOOLS_GENERATE_H
#define PD_TOOLS_GENERATE_H

#include <stdbool.h>

/* The value of an option "--@name[=true|false]": NULL is true. 0, or EXIT_USAGE after a message. */
int set_flag(const char *name, const char *value, bool *has, bool *on);

#endif
