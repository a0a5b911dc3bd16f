# SPDX-License-Identifier: GPL-2.0-or-later
# A short run with each "make check"; salvage/run NR for more.
check_PROGRAMS += salvage/score
salvage_score_SOURCES = salvage/score.c
salvage_score_LDADD = $(top_builddir)/lib/libpdata-all.la
TESTS += salvage/run
EXTRA_DIST += salvage/README salvage/results.txt salvage/run salvage/make-pools salvage/make-pool.sh \
	salvage/pools/1.img.xz salvage/pools/2.img.xz salvage/pools/3.img.xz \
	salvage/pools/4.img.xz salvage/pools/5.img.xz
