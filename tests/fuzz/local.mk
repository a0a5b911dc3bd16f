# SPDX-License-Identifier: GPL-2.0-or-later
# A short campaign with each "make check"; longer ones by hand: fuzz/campaign FIRST-SEED NR IMAGE...
check_PROGRAMS += fuzz/mutate fuzz/fuzz-thin fuzz/fuzz-cache fuzz/fuzz-xml
check_PROGRAMS += fuzz/fuzz-era fuzz/fuzz-clone
TESTS += fuzz/short.sh
fuzz_mutate_SOURCES = fuzz/mutate.c fuzz/mutations.c fuzz/mutations.h fuzz/types.c fuzz/types.h \
	fuzz/generate.c
fuzz_mutate_LDADD = $(top_builddir)/lib/libpdata-all.la
fuzz_flags =
if FUZZING
fuzz_flags += -DFUZZING
fuzz_link = -fsanitize=fuzzer
endif
fuzz_fuzz_thin_SOURCES = fuzz/targets.c
fuzz_fuzz_thin_CPPFLAGS = $(AM_CPPFLAGS) $(fuzz_flags) -DFUZZ_THIN
fuzz_fuzz_thin_LDADD = $(top_builddir)/lib/libpdata-all.la
fuzz_fuzz_thin_LDFLAGS = $(AM_LDFLAGS) $(fuzz_link)
fuzz_fuzz_cache_SOURCES = fuzz/targets.c
fuzz_fuzz_cache_CPPFLAGS = $(AM_CPPFLAGS) $(fuzz_flags) -DFUZZ_CACHE
fuzz_fuzz_cache_LDADD = $(top_builddir)/lib/libpdata-all.la
fuzz_fuzz_cache_LDFLAGS = $(AM_LDFLAGS) $(fuzz_link)
fuzz_fuzz_xml_SOURCES = fuzz/targets.c
fuzz_fuzz_xml_CPPFLAGS = $(AM_CPPFLAGS) $(fuzz_flags) -DFUZZ_XML
fuzz_fuzz_xml_LDADD = $(top_builddir)/lib/libpdata-all.la
fuzz_fuzz_xml_LDFLAGS = $(AM_LDFLAGS) $(fuzz_link)
fuzz_fuzz_era_SOURCES = fuzz/targets.c
fuzz_fuzz_era_CPPFLAGS = $(AM_CPPFLAGS) $(fuzz_flags) -DFUZZ_ERA
fuzz_fuzz_era_LDADD = $(top_builddir)/lib/libpdata-all.la
fuzz_fuzz_era_LDFLAGS = $(AM_LDFLAGS) $(fuzz_link)
fuzz_fuzz_clone_SOURCES = fuzz/targets.c
fuzz_fuzz_clone_CPPFLAGS = $(AM_CPPFLAGS) $(fuzz_flags) -DFUZZ_CLONE
fuzz_fuzz_clone_LDADD = $(top_builddir)/lib/libpdata-all.la
fuzz_fuzz_clone_LDFLAGS = $(AM_LDFLAGS) $(fuzz_link)
EXTRA_DIST += fuzz/README fuzz/short.sh fuzz/campaign
