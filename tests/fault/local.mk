# SPDX-License-Identifier: GPL-2.0-or-later
# What is C here belongs to unit/unit.
TESTS += fault/commands.sh
EXTRA_DIST += fault/commands.sh
