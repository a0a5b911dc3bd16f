# SPDX-License-Identifier: LGPL-2.1-or-later
libpdata_all_la_SOURCES += \
	cache/elements.c \
	cache/elements.h \
	cache/records.h
