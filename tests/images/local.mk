# SPDX-License-Identifier: GPL-2.0-or-later
TESTS += images/run
EXTRA_DIST += images/README images/run images/rows-without images/pools images/cases
