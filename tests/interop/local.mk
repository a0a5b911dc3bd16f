# SPDX-License-Identifier: GPL-2.0-or-later
# What the api cases change metadata with; `run` has it made.
EXTRA_PROGRAMS += interop/change
interop_change_SOURCES = interop/change.c
interop_change_LDADD = $(top_builddir)/lib/libpdata-all.la
EXTRA_DIST += interop/README interop/boot interop/run interop/init interop/lib.sh interop/mark.c \
	interop/cases/api-cache.sh \
	interop/cases/api-clone.sh \
	interop/cases/api-era.sh \
	interop/cases/api-thin.sh \
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
