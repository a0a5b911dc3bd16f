# SPDX-License-Identifier: LGPL-2.1-or-later
pdata_include_HEADERS += \
	include/pdata/clone.h \
	include/pdata/clone-metadata.h
libpdata_all_la_SOURCES += \
	clone/build.c \
	clone/check.c \
	clone/elements.c \
	clone/elements.h \
	clone/handle.c \
	clone/metadata.c \
	clone/metadata.h \
	clone/records.h \
	clone/restore.c
EXTRA_DIST += clone/README
