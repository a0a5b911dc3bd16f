# SPDX-License-Identifier: LGPL-2.1-or-later
pdata_include_HEADERS += \
	include/pdata/fields.h \
	include/pdata/dev.h \
	include/pdata/meta.h \
	include/pdata/problems.h
libpdata_all_la_SOURCES += \
	meta/array-find.c \
	meta/array-find.h \
	meta/array-scan.c \
	meta/array-scan.h \
	meta/damage.c \
	meta/damage.h \
	meta/dev.c \
	meta/fields.c \
	meta/fields.h \
	meta/mend.c \
	meta/mend.h \
	meta/report.c \
	meta/report.h \
	meta/scan.c \
	meta/scan.h \
	meta/slots.c \
	meta/slots.h \
	meta/space-map-check.c
EXTRA_DIST += meta/README
