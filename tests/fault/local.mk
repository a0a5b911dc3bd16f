# SPDX-License-Identifier: GPL-2.0-or-later
# What is C here belongs to unit/unit.
TESTS += fault/commands.sh fault/sizes.sh
EXTRA_DIST += fault/commands.sh fault/sizes.sh fault/instrumented.sh
check_PROGRAMS += fault/bounded
fault_bounded_SOURCES = fault/bounded.c
