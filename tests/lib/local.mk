# SPDX-License-Identifier: GPL-2.0-or-later
TESTS += lib/exports.sh lib/headers.sh lib/manual.sh
EXTRA_DIST += lib/README lib/exports lib/exports.sh lib/headers.sh lib/manual.sh
