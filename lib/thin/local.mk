# SPDX-License-Identifier: LGPL-2.1-or-later
pdata_include_HEADERS += \
	include/pdata/text.h \
	include/pdata/thin-pool.h \
	include/pdata/thin.h
libpdata_all_la_SOURCES += \
	thin/build.c \
	thin/build.h \
	thin/check.c \
	thin/check.h \
	thin/devices.c \
	thin/devices.h \
	thin/dump.c \
	thin/dump.h \
	thin/elements.c \
	thin/elements.h \
	thin/emit.c \
	thin/find-superblock.c \
	thin/generations.c \
	thin/human.c \
	thin/in-place.c \
	thin/intersect.c \
	thin/leaf.c \
	thin/leaf.h \
	thin/mappings.c \
	thin/mappings.h \
	thin/names.c \
	thin/names.h \
	thin/orphan-roots.c \
	thin/orphans.c \
	thin/plan.c \
	thin/plan.h \
	thin/pool.c \
	thin/records.h \
	thin/repair.c \
	thin/restore.c \
	thin/salvage.c \
	thin/salvage.h \
	thin/stale-nodes.c \
	thin/stale.c \
	thin/superblock.c \
	thin/text.h \
	thin/xml-write.c
EXTRA_DIST += thin/README
