# SPDX-License-Identifier: GPL-2.0-or-later
TESTS += cli/common.sh cli/repair.sh cli/restore.sh
EXTRA_DIST += cli/common.sh cli/repair.sh cli/restore.sh images/sample/healthy.img.xz images/sample/damaged.img.xz
