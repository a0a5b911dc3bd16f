# SPDX-License-Identifier: LGPL-2.1-or-later
libpdata_all_la_SOURCES += \
	base/bits.h \
	base/crc32c.h \
	base/le.h \
	base/util.h \
	base/workers.h
