# SPDX-License-Identifier: LGPL-2.1-or-later
libpdata_all_la_SOURCES += \
	base/bits.c \
	base/bits.h \
	base/counts.c \
	base/counts.h \
	base/crc32c.c \
	base/crc32c.h \
	base/err.c \
	base/le.h \
	base/log.c \
	base/reserve.c \
	base/reserve.h \
	base/util.h \
	base/workers.c \
	base/workers.h
EXTRA_DIST += base/README
