# SPDX-License-Identifier: LGPL-2.1-or-later
libpdata_all_la_SOURCES += \
	persistent-data/block.c \
	persistent-data/build.c \
	persistent-data/build.h \
	persistent-data/disk.h \
	persistent-data/out.c \
	persistent-data/sm-build.c
