# SPDX-License-Identifier: LGPL-2.1-or-later
pdata_include_HEADERS += \
	include/pdata/text.h \
	include/pdata/thin.h
libpdata_all_la_SOURCES += \
	thin/dump.h \
	thin/elements.c \
	thin/elements.h \
	thin/records.h
