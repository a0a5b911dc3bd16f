# SPDX-License-Identifier: LGPL-2.1-or-later
libpdata_all_la_SOURCES += \
	clone/elements.c \
	clone/elements.h \
	clone/records.h
