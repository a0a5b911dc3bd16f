# SPDX-License-Identifier: LGPL-2.1-or-later
pdata_include_HEADERS += \
	include/pdata/era.h \
	include/pdata/era-metadata.h
libpdata_all_la_SOURCES += \
	era/build.c \
	era/check.c \
	era/elements.c \
	era/elements.h \
	era/handle.c \
	era/metadata.c \
	era/metadata.h \
	era/proof.c \
	era/records.h \
	era/repair.c \
	era/window.c \
	era/window.h \
	era/xml.c
EXTRA_DIST += era/README
