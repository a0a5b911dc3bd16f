# SPDX-License-Identifier: LGPL-2.1-or-later
libpdata_all_la_SOURCES += \
	xml/elements.h \
	xml/feed.c \
	xml/feed.h \
	xml/parse.h \
	xml/reader.c \
	xml/reader.h \
	xml/scan.c \
	xml/writer.c \
	xml/writer.h
EXTRA_DIST += xml/README
