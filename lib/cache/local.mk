# SPDX-License-Identifier: LGPL-2.1-or-later
pdata_include_HEADERS += \
	include/pdata/cache.h \
	include/pdata/cache-metadata.h
libpdata_all_la_SOURCES += \
	cache/build.c \
	cache/build.h \
	cache/check.c \
	cache/dump.c \
	cache/dump.h \
	cache/elements.c \
	cache/elements.h \
	cache/format.c \
	cache/handle.c \
	cache/orphans.c \
	cache/records.h \
	cache/repair.c \
	cache/restore.c \
	cache/salvage.c \
	cache/salvage.h \
	cache/superblock.c \
	cache/superblock.h \
	cache/twice.c \
	cache/twice.h \
	cache/writeback.c \
	cache/xml-write.c
EXTRA_DIST += cache/README
