# SPDX-License-Identifier: LGPL-2.1-or-later
pdata_include_HEADERS += \
	include/pdata/err.h \
	include/pdata/io.h \
	include/pdata/log.h
libpdata_all_la_SOURCES += \
	io/engine-crash.c \
	io/engine-fault.c \
	io/engine-overlay.c \
	io/engine-pread.c \
	io/engine-ram.c \
	io/engine-trace.c \
	io/engine-uring.c \
	io/engine.h \
	io/engines.h \
	io/io.c \
	io/stream.c \
	io/stream.h \
	io/wrap.c
EXTRA_DIST += io/README
