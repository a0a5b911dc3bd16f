# SPDX-License-Identifier: GPL-2.0-or-later
TESTS += cli/common.sh
EXTRA_DIST += cli/common.sh images/sample/healthy.img.xz images/sample/damaged.img.xz
