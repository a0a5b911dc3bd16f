# SPDX-License-Identifier: LGPL-2.1-or-later
libpdata_all_la_SOURCES += \
	xml/elements.h \
	xml/reader.h \
	xml/writer.c \
	xml/writer.h
EXTRA_DIST += xml/README
