# SPDX-License-Identifier: LGPL-2.1-or-later
libpdata_all_la_SOURCES += \
	meta/slots.c \
	meta/slots.h
