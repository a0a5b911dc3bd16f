# SPDX-License-Identifier: GPL-2.0-or-later
if HAVE_CUNIT
check_PROGRAMS += unit/unit
TESTS += unit/unit
endif
unit_unit_CFLAGS = $(AM_CFLAGS) $(CUNIT_CFLAGS)
unit_unit_LDADD = $(top_builddir)/lib/libpdata-all.la $(CUNIT_LIBS)
unit_unit_SOURCES = \
	unit/main.c \
	unit/suites.h \
	unit/unit.h \
	unit/build.c \
	unit/damage.c \
	unit/slots.c \
	unit/thin-check.c \
	unit/thin-dump.c \
	unit/xml-reader.c \
	unit/xml-writer.c
