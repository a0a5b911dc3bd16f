# SPDX-License-Identifier: GPL-2.0-or-later
# A short campaign with each "make check"; longer ones by hand: fuzz/campaign FIRST-SEED NR IMAGE..., and fuzz/fuzz.
check_PROGRAMS += fuzz/mutate fuzz/targets
TESTS += fuzz/short.sh
fuzz_mutate_SOURCES = fuzz/mutate.c fuzz/mutations.c fuzz/mutations.h fuzz/types.c fuzz/types.h \
	fuzz/generate.c
fuzz_mutate_LDADD = $(top_builddir)/lib/libpdata-all.la
fuzz_targets_SOURCES = fuzz/targets.c fuzz/types.c fuzz/types.h
fuzz_targets_LDADD = $(top_builddir)/lib/libpdata-all.la
fuzz_targets_CPPFLAGS = $(AM_CPPFLAGS)
fuzz_targets_LDFLAGS = $(AM_LDFLAGS)
if FUZZING
fuzz_targets_CPPFLAGS += -DFUZZING
fuzz_targets_LDFLAGS += -fsanitize=fuzzer
endif
EXTRA_DIST += fuzz/README fuzz/short.sh fuzz/campaign fuzz/fuzz fuzz/corpus.tar.xz
