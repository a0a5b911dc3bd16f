# SPDX-License-Identifier: GPL-2.0-or-later
# A short campaign with each "make check"; longer ones by hand: fuzz/thin-mutate FIRST-SEED NR IMAGE...
check_PROGRAMS += fuzz/thin-mutate
TESTS += fuzz/short.sh
fuzz_thin_mutate_SOURCES = fuzz/thin-mutate.c
fuzz_thin_mutate_LDADD = $(top_builddir)/lib/libpdata-all.la
EXTRA_DIST += fuzz/short.sh
