# SPDX-License-Identifier: LGPL-2.1-or-later
libpdata_all_la_SOURCES += \
	persistent-data/array.c \
	persistent-data/array.h \
	persistent-data/block-manager.c \
	persistent-data/block-manager.h \
	persistent-data/block.c \
	persistent-data/btree-insert.c \
	persistent-data/btree-remove.c \
	persistent-data/btree.c \
	persistent-data/btree.h \
	persistent-data/build.c \
	persistent-data/build.h \
	persistent-data/disk.h \
	persistent-data/metadata.c \
	persistent-data/metadata.h \
	persistent-data/out.c \
	persistent-data/sm-build.c \
	persistent-data/space-map-disk.c \
	persistent-data/space-map-disk.h \
	persistent-data/transaction-manager.c \
	persistent-data/transaction-manager.h
EXTRA_DIST += persistent-data/README
