/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include "fault/alloc.h"
#include "fault/each.h"
#include "unit/unit.h"

#define MANY 1000000u	/* no operation in these tests fails in so many ways */

static void expect(const char *what, unsigned nth, int got, int want)
{
	if (got == want)
		return;
	printf("%s %u: returned %d instead of %d\n", what, nth, got, want);
	CU_FAIL("a failure was not passed on");
}

unsigned fault_each_alloc(int (*op)(void *ctx), void *ctx)
{
	for (unsigned nth = 1; nth < MANY; nth++) {
		bool fired;
		int r;

		fault_alloc_arm(nth);
		r = op(ctx);
		fired = fault_alloc_fired();
		fault_alloc_arm(0);
		expect("allocation", nth, r, fired ? -ENOMEM : 0);
		if (!fired)
			return nth - 1;
	}
	CU_FAIL("there is no end to the allocations");
	return MANY;
}

unsigned fault_each_io(int (*open)(void *ctx, struct pd_io **io), enum pd_fault what,
		       int (*op)(void *ctx, struct pd_io *io), void *ctx)
{
	for (unsigned nth = 1; nth < MANY; nth++) {
		struct pd_io *inner, *io;
		bool fired;
		int r;

		CU_ASSERT_EQUAL_FATAL(open(ctx, &inner), 0);
		CU_ASSERT_EQUAL_FATAL(pd_io_fault(&io, inner), 0);
		pd_fault_arm(io, what, nth);
		r = op(ctx, io);
		fired = pd_fault_fired(io);
		pd_io_close(io);
		expect("request", nth, r, fired ? -EIO : 0);
		if (!fired)
			return nth - 1;
	}
	CU_FAIL("there is no end to the requests");
	return MANY;
}
