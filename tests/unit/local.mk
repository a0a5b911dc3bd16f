# SPDX-License-Identifier: GPL-2.0-or-later
if HAVE_CUNIT
check_PROGRAMS += unit/unit
TESTS += unit/unit
endif
unit_unit_CFLAGS = $(AM_CFLAGS) $(CUNIT_CFLAGS)
unit_unit_LDADD = $(top_builddir)/lib/libpdata-all.la $(CUNIT_LIBS)
# Tests make these fail: ../fault/alloc.c.
wrap = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=strdup,--wrap=mmap,--wrap=mmap64
unit_unit_LDFLAGS = $(AM_LDFLAGS) $(wrap)
EXTRA_DIST += fault/README unit/README unit/cross/run unit/cross/main.c unit/cross/CUnit/CUnit.h
unit_unit_SOURCES = \
	unit/main.c \
	unit/suites.h \
	unit/unit.h \
	unit/build.c \
	fault/alloc.c \
	fault/alloc.h \
	fault/each.c \
	fault/each.h \
	fault/io.c \
	fault/power.c \
	fuzz/types.c \
	fuzz/types.h \
	fuzz/generate.c \
	unit/base.c \
	unit/counts.c \
	unit/block.c \
	unit/crc32c.c \
	unit/engines.c \
	unit/fields.c \
	unit/era-stale.c \
	unit/handles.c \
	unit/stream.c \
	unit/damage.c \
	unit/slots.c \
	unit/thin-check.c \
	unit/thin-dump.c \
	unit/thin-pool.c \
	unit/properties.c \
	unit/random.h \
	unit/transactions.c \
	unit/world-exact.c \
	unit/world.c \
	unit/world.h \
	unit/twice.c \
	unit/writeback.c \
	unit/xml-reader.c \
	unit/xml-writer.c

# Millions of operations, thousands of failures and power cuts; PD_TEST_SEED=N begins elsewhere.
properties: unit/unit
	PD_TEST_SCALE=$${PD_TEST_SCALE-200} unit/unit properties
.PHONY: properties
