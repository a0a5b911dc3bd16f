# SPDX-License-Identifier: GPL-2.0-or-later
# Not built by "make check": make perf-programs, then perf/run.
EXTRA_PROGRAMS += perf/floor perf/generate perf/inserts perf/measure
perf_floor_SOURCES = perf/floor.c
perf_floor_LDADD = $(top_builddir)/lib/libpdata-all.la
perf_inserts_SOURCES = perf/inserts.c
perf_inserts_LDADD = $(top_builddir)/lib/libpdata-all.la
perf_generate_SOURCES = perf/generate.c
perf_measure_SOURCES = perf/measure.c
perf-programs: perf/floor$(EXEEXT) perf/generate$(EXEEXT) perf/inserts$(EXEEXT) perf/measure$(EXEEXT)
.PHONY: perf-programs
EXTRA_DIST += perf/README perf/results.txt perf/rows perf/run
