# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += interop/README interop/boot interop/run interop/init interop/lib.sh interop/mark.c \
	interop/cases/cache.sh \
	interop/cases/clone.sh \
	interop/cases/era.sh \
	interop/cases/lvm-cache.sh \
	interop/cases/lvm-thin.sh \
	interop/cases/thin-api.sh \
	interop/cases/thin-auto-repair.sh \
	interop/cases/thin-metasnap.sh \
	interop/cases/thin-needs-check.sh \
	interop/cases/thin-repair.sh \
	interop/cases/thin-round.sh
