/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs an operation over and over, with the first, second, ... failure, until nothing fails any
 * more. An operation sets up all it needs, does its work, takes everything down and returns 0
 * or -errno; when it meets a failure it must return that one, and never crash or leak (valgrind
 * and the sanitizers see that).
 */
#ifndef FAULT_EACH_H
#define FAULT_EACH_H

#include "io/engine.h"

/* The n-th allocation fails: -ENOMEM is expected. Returns how many failures were tried. */
unsigned fault_each_alloc(int (*op)(void *ctx), void *ctx);

/*
 * The n-th request of @what fails: -EIO is expected. @op gets a fault engine in front of a fresh
 * handle that @open made, and does not close it.
 */
unsigned fault_each_io(int (*open)(void *ctx, struct pd_io **io), enum pd_fault what,
		       int (*op)(void *ctx, struct pd_io *io), void *ctx);

#endif
