# SPDX-License-Identifier: LGPL-2.1-or-later
libpdata_all_la_SOURCES += \
	era/elements.c \
	era/elements.h \
	era/records.h
