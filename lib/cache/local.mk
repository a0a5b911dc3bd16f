# SPDX-License-Identifier: LGPL-2.1-or-later
pdata_include_HEADERS += \
	include/pdata/cache.h
libpdata_all_la_SOURCES += \
	cache/check.c \
	cache/elements.c \
	cache/elements.h \
	cache/records.h \
	cache/superblock.c \
	cache/superblock.h
