# SPDX-License-Identifier: LGPL-2.1-or-later
pdata_include_HEADERS += \
	include/pdata/array.h \
	include/pdata/bitset.h \
	include/pdata/block-manager.h \
	include/pdata/btree.h \
	include/pdata/le.h \
	include/pdata/space-map.h \
	include/pdata/transaction-manager.h
libpdata_all_la_SOURCES += \
	persistent-data/api-array.c \
	persistent-data/api-btree.c \
	persistent-data/api-transaction.c \
	persistent-data/api.h \
	persistent-data/array.c \
	persistent-data/array.h \
	persistent-data/bitset.c \
	persistent-data/bitset.h \
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
	persistent-data/space-map-core.c \
	persistent-data/space-map-core.h \
	persistent-data/space-map-disk.c \
	persistent-data/space-map-disk.h \
	persistent-data/space-map.c \
	persistent-data/space-map.h \
	persistent-data/transaction-manager.c \
	persistent-data/transaction-manager.h
EXTRA_DIST += persistent-data/README
